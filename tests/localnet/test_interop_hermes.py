"""Hermes's configuration as an operator would write it, and what its answers become."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from localnet.interop.hermes import Hermes, HermesChain, render_config
from localnet.interop.scenario import ScenarioFailed

HUB = HermesChain("hub-1", "http://127.0.0.1:20001", "127.0.0.1:20002", "margin", "umargin")


def read(**wishes: Any) -> dict[str, Any]:
    return tomllib.loads(render_config([HUB], Path("keys"), **wishes))


def test_the_defaults_of_hermes_must_do() -> None:
    (chain,) = read()["chains"]
    assert not {"proof_specs", "compat_mode", "trusted_node"} & set(chain)
    assert chain["store_prefix"] == "ibc"
    assert chain["gas_price"] == {"price": 0.001, "denom": "umargin"}


@pytest.mark.parametrize(
    ("mode", "source"),
    [
        (
            "push",
            {"mode": "push", "url": "ws://127.0.0.1:20001/websocket", "batch_delay": "200ms"},
        ),
        ("pull", {"mode": "pull", "interval": "500ms"}),
    ],
)
def test_events_are_pushed_or_pulled(mode: Any, source: dict[str, str]) -> None:
    assert read(mode=mode)["chains"][0]["event_source"] == source


def test_servers_of_hermes_are_off_and_on_loopback() -> None:
    document = read()
    for name in ("rest", "telemetry"):
        assert document[name]["enabled"] is False
        assert document[name]["host"] == "127.0.0.1"


def test_misbehaviour_is_watched_when_asked() -> None:
    assert read()["mode"]["clients"]["misbehaviour"] is False
    assert read(is_misbehaviour_watched=True)["mode"]["clients"]["misbehaviour"] is True


def make_hermes(folder: Path, *lines: str) -> Hermes:
    """A program that says these lines, as Hermes says its JSON."""
    program = folder / "hermes"
    said = "".join(f"echo '{line}'\n" for line in lines)
    program.write_text(f"#!/bin/sh\n{said}")
    program.chmod(0o755)
    return Hermes(program, folder / "home", folder / "logs")


def test_the_result_of_a_command_and_its_log(tmp_path: Path) -> None:
    hermes = make_hermes(
        tmp_path,
        '{"level":"WARN","fields":{"message":"slow"}}',
        '{"result":{"CreateClient":{"client_id":"07-tendermint-4"}},"status":"success"}',
    )
    config = hermes.write_config("push", render_config([HUB], hermes.keys))
    result, log = hermes.run_logged(config, "create", "client")
    assert result["CreateClient"]["client_id"] == "07-tendermint-4"
    assert [entry["fields"]["message"] for entry in log] == ["slow"]
    assert "$ hermes create client" in (tmp_path / "logs" / "hermes.log").read_text()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"result":"unknown channel","status":"error"}', "unknown channel"),
        ("thread main panicked", "thread main panicked"),
    ],
)
def test_a_failed_command_is_named_with_its_reason(tmp_path: Path, line: str, told: str) -> None:
    hermes = make_hermes(tmp_path, line)
    with pytest.raises(ScenarioFailed, match=f"hermes clear packets: {told}"):
        hermes.run(tmp_path / "push.toml", "clear", "packets")


def test_the_words_of_a_key_do_not_stay(tmp_path: Path) -> None:
    hermes = make_hermes(tmp_path, '{"result":"added","status":"success"}')
    config = hermes.write_config("push", render_config([HUB], hermes.keys))
    hermes.add_key(config, "hub-1", "legal winner thank year")
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or "legal winner" not in path.read_text()
