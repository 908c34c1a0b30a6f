"""mlocalnet's commands on folders and names that are wrong, and what needs no network."""

import json

import pytest
from typer.testing import CliRunner

from localnet.actors import ACTORS
from localnet.cli import app

runner = CliRunner()


def run(*words):
    return runner.invoke(app, list(words))


def test_accounts_are_json_when_piped():
    rows = json.loads(run("accounts").stdout)
    assert [row["name"] for row in rows] == list(ACTORS)
    assert {row["address"] for row in rows} == {actor.address for actor in ACTORS.values()}


def test_accounts_as_a_table_say_that_they_are_unsafe():
    assert "UNSAFE" in run("accounts", "--output", "text").stdout


@pytest.mark.parametrize(
    "words", [("status",), ("down",), ("logs", "relayer"), ("faucet", "alice", "1 ETH"), ("spot",)]
)
def test_without_a_network_the_remedy_is_named(tmp_path, words):
    result = run(*words, "--root", str(tmp_path))
    assert result.exit_code == 1
    assert "mlocalnet up" in result.stderr.replace("\n", " ")


def test_an_unknown_output_is_refused(tmp_path):
    result = run("status", "--root", str(tmp_path), "--output", "yaml")
    assert result.exit_code == 2
