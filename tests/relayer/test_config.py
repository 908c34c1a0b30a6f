"""The relayer's configuration file, from the sample and one change at a time."""

from pathlib import Path

import pytest

from relayer.config import ConfigError, load_config, record_link, write_sample


def get_valid_file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    write_sample(path)
    return path


def test_sample_is_valid_and_states_every_default(tmp_path: Path) -> None:
    config = load_config(get_valid_file(tmp_path))
    assert [chain.id for chain in config.chains] == ["hub-1", "alpha-1"]
    section = config.chains[0]
    for name, field in type(section).model_fields.items():
        if not field.is_required():
            assert getattr(section, name) == field.default


@pytest.mark.parametrize(
    ("old", "new", "line_holds", "rule"),
    [
        ("max_msg_num = 30", "max_msg_num = 300", "max_msg_num = 300", "less than or equal to 100"),
        ("max_msg_num = 30", "max_msgs = 30", "max_msgs = 30", "Extra inputs are not permitted"),
        ('log_level = "info"', 'log_level = "loud"', "log_level", "Input should be"),
        ("port = 3001", "port = 70000", "port = 70000", "less than or equal to 65535"),
    ],
)
def test_fault_is_named_by_file_line_and_rule(
    tmp_path: Path, old: str, new: str, line_holds: str, rule: str
) -> None:
    path = get_valid_file(tmp_path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError) as refusal:
        load_config(path)
    text = str(refusal.value)
    assert text.startswith(f"{path}:")
    number = int(text.removeprefix(f"{path}:").split(":")[0])
    assert line_holds in path.read_text().splitlines()[number - 1]
    assert rule in text


def test_path_over_an_unknown_chain_is_refused(tmp_path: Path) -> None:
    path = get_valid_file(tmp_path)
    path.write_text(path.read_text().replace('b_chain = "alpha-1"', 'b_chain = "gamma-1"'))
    with pytest.raises(ConfigError, match=r"gamma-1.*known: hub-1, alpha-1"):
        load_config(path)


def test_broken_toml_and_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mrelay config init"):
        load_config(tmp_path / "absent.toml")
    path = tmp_path / "config.toml"
    path.write_text("[global\n")
    with pytest.raises(ConfigError, match="line 1"):
        load_config(path)


def test_ids_of_a_link_are_written_and_comments_kept(tmp_path: Path) -> None:
    path = get_valid_file(tmp_path)
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    record_link(path, "hub-alpha", {"a_client": "07-tendermint-4"})
    assert load_config(path).paths[0].a_client == "07-tendermint-4"
    assert not load_config(path).paths[0].is_linked
    kept = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert kept == comments
