"""app.toml: every key written with its default, unknown keys and bad values refused by line."""

import tomllib

import pytest

from chain.node.config import ConfigError, NodeConfig, load_config, write_default_config


@pytest.fixture
def home(tmp_path):
    write_default_config(tmp_path / "config" / "app.toml")
    return tmp_path


def rewrite(home, old, new):
    path = home / "config" / "app.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if new in line)


def test_the_sample_holds_every_key_at_its_default_and_says_so(home):
    text = (home / "config" / "app.toml").read_text()
    assert load_config(home).model_dump() == NodeConfig().model_dump()
    assert tomllib.loads(text) == NodeConfig().model_dump()
    keys = [line for line in text.splitlines() if " = " in line]
    assert text.count("[Default: ") == len(keys)


def test_an_empty_file_means_the_defaults(home):
    (home / "config" / "app.toml").write_text("")
    assert load_config(home).model_dump() == NodeConfig().model_dump()


def test_overrides_nest_as_the_sections_do(tmp_path):
    path = tmp_path / "config" / "app.toml"
    write_default_config(path, {"chain": "spoke", "store": {"retain_versions": 7}})
    config = load_config(tmp_path)
    assert (config.chain, config.store.retain_versions) == ("spoke", 7)
    assert config.store.snapshot_keep == 2


@pytest.mark.parametrize(
    "overrides",
    [{"unknown": 1}, {"store": {"unknown": 1}}, {"grpc": {"address": "nowhere"}}],
)
def test_a_bad_override_leaves_no_file(tmp_path, overrides):
    path = tmp_path / "config" / "app.toml"
    with pytest.raises(ConfigError):
        write_default_config(path, overrides)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("retain_versions = 1000", "retain_version = 1000", "store.retain_version: unknown key"),
        ("[rest]", "[rset]", "rset: unknown key"),
        ('chain = "hub"', 'chain = "moon"', "chain: Input should be 'hub' or 'spoke'"),
        ("retain_versions = 1000", "retain_versions = 0", "greater than or equal to 1"),
        ('address = "tcp://127.0.0.1:26658"', 'address = "x"', "neither unix:///absolute/path"),
        ('address = "127.0.0.1:9090"', 'address = "9090"', "'9090' is not host:port"),
        ('prices = "0umargin"', 'prices = "free"', "'free' is not an amount and a denom"),
        ("workers = 4", 'workers = "many"', "grpc.workers: Input should be a valid integer"),
        ("workers = 4", "workers = = 4", "not TOML"),
    ],
)
def test_a_bad_line_is_named(home, old, new, reason):
    line = rewrite(home, old, new)
    with pytest.raises(ConfigError) as refused:
        load_config(home)
    assert f"app.toml:{line}: " in str(refused.value)
    assert reason in str(refused.value)


def test_the_environment_wins_and_is_named_when_bad(home, monkeypatch):
    monkeypatch.setenv("MARGINCHAIND_GRPC__ADDRESS", "127.0.0.1:9999")
    assert load_config(home).grpc.address == "127.0.0.1:9999"
    monkeypatch.setenv("MARGINCHAIND_STORE__SNAPSHOT_KEEP", "0")
    (home / "config" / "app.toml").write_text("")
    with pytest.raises(ConfigError, match="MARGINCHAIND_STORE__SNAPSHOT_KEEP: "):
        load_config(home)


def test_a_missing_file_names_the_remedy(tmp_path):
    with pytest.raises(ConfigError, match="marginchaind init"):
        load_config(tmp_path)
