import json

import pytest

from chain.node.genesis_check import check_genesis, locate
from chain.node.home import (
    GENESIS_PATH,
    create_home,
    public_key_json,
    read_validator_key,
)
from chain.node.node import CHAINS
from chain.runtime.genesis import build_default_app_state
from tests.support.testchain import TestChain


@pytest.fixture
def genesis(tmp_path):
    """A valid genesis file of a spoke, as a function that changes it and returns the faults."""
    state = build_default_app_state(CHAINS["spoke"])
    create_home(tmp_path, moniker="n", chain_id="alpha-1", chain_type="spoke", app_state=state)
    path = tmp_path / GENESIS_PATH
    document = json.loads(path.read_text())
    validators = TestChain().app_state["validators"]["validators"]
    document["app_state"]["validators"]["validators"] = validators

    def check(change=dict.copy):
        change(document)
        path.write_text(json.dumps(document, indent=2))
        return check_genesis(path, "spoke")

    check.path = path
    check.home = tmp_path
    return check


def line_of(genesis, text):
    lines = genesis.path.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_valid_genesis_has_no_fault(genesis):
    assert genesis() == []


@pytest.mark.parametrize(
    ("change", "where", "reason"),
    [
        (lambda d: d.update(chain_name="x"), '"chain_name"', "unknown key"),
        (lambda d: d.update(chain_id="a b"), '"chain_id"', "chain_id"),
        (lambda d: d.update(genesis_time="yesterday"), '"genesis_time"', "RFC 3339"),
        (lambda d: d.update(initial_height="0"), '"initial_height"', "from 1"),
        (lambda d: d["consensus_params"].pop("block"), '"consensus_params"', "block"),
        (lambda d: d["app_state"].update(nothing={}), '"nothing"', "no such module"),
        (
            lambda d: d["app_state"]["auth"]["params"].update(colour="red"),
            '"colour"',
            'no field named "colour"',
        ),
        (
            lambda d: d["app_state"]["auth"]["params"].update(tx_sig_limit="many"),
            '"tx_sig_limit"',
            "tx_sig_limit",
        ),
    ],
)
def test_fault_names_its_line(genesis, change, where, reason):
    faults = genesis(change)
    assert len(faults) == 1
    assert reason in faults[0].reason
    assert faults[0].line == line_of(genesis, where)
    assert str(faults[0]).startswith(f"{genesis.path}:{faults[0].line}: ")


def test_genesis_without_validators_is_refused(genesis):
    faults = genesis(lambda d: d["app_state"]["validators"].update(validators=[]))
    assert "the set would have 0 validators" in faults[0].reason


def test_validator_with_another_address_is_refused(genesis):
    key = public_key_json(read_validator_key(genesis.home))
    validator = {"address": "AB" * 20, "pub_key": key, "power": "10", "name": "x"}
    faults = genesis(lambda d: d.update(validators=[validator]))
    assert "is not the one of pub_key" in faults[0].reason


def test_text_that_is_not_json_names_its_line(genesis):
    genesis.path.write_text('{\n  "chain_id": \n}')
    assert check_genesis(genesis.path, "spoke")[0].line == 3


def test_missing_file_and_deep_file_are_faults(tmp_path):
    assert "cannot be read" in check_genesis(tmp_path / "none", "spoke")[0].reason
    (tmp_path / "deep").write_text("[" * 100_000)
    assert "deeper" in check_genesis(tmp_path / "deep", "spoke")[0].reason


def test_lines_of_keys_and_elements():
    lines = locate('{\n"a": [1,\n {"b": {}},\n "x,y"],\n"c:d": 2}')
    assert lines == {
        ("a",): 2,
        ("a", 0): 2,
        ("a", 1): 3,
        ("a", 1, "b"): 3,
        ("a", 2): 4,
        ("c:d",): 5,
    }
