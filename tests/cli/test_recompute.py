"""`risk recompute` in process: zero difference, each difference, and documents that are none."""

import json
import sys

import pytest
from google.protobuf import json_format

from chain.cli import app as cli
from chain.modules.accounts import queries
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETHER,
    NOW,
    SELL,
    build_economy,
    deposit,
    get_account,
    place,
)


@pytest.fixture
def document():
    """A margin as `query accounts margin` prints it: a position, and an order behind it."""
    ctx = build_economy()
    deposit(ctx, ALICE, 500_000)
    deposit(ctx, BOB, 10_000)
    place(ctx, ALICE, SELL, 10 * ETHER, 200_003)
    place(ctx, BOB, BUY, 10 * ETHER, tif=NOW)
    place(ctx, BOB, SELL, ETHER, 210_000)
    explained = queries.explain_margin(ctx, get_account(ctx, BOB))
    return {
        "margin": json_format.MessageToDict(
            explained,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
    }


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    def call(*arguments, text=None):
        path = tmp_path / "margin.json"
        if text is not None:
            path.write_text(text)
            arguments = (str(path), *arguments)
        words = ["marginchaind", "risk", "recompute", *arguments, "--output", "json"]
        monkeypatch.setattr(sys, "argv", words)
        code = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code or 0
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else {}, captured.err

    return call


@pytest.mark.parametrize("is_bare", [True, False])
def test_a_margin_follows_from_its_own_inputs(run, document, is_bare):
    text = json.dumps(document["margin"] if is_bare else document)
    assert run(text=text) == (0, {"is_equal": True, "differences": []}, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [("equity_uusd", "1"), ("maintenance_uusd", "0"), ("state", "MARGIN_STATE_BANKRUPT")],
)
def test_each_difference_is_named_and_the_exit_code_is_one(run, document, field, value):
    document["margin"][field] = value
    code, shown, _ = run(text=json.dumps(document))
    assert code == 1
    assert not shown["is_equal"]
    assert any(line.startswith(f"{field}: printed ") for line in shown["differences"])


def test_an_input_that_was_changed_shows_in_what_follows(run, document):
    document["margin"]["positions"][0]["price_wad"] = str(2_001 * 10**18)
    code, shown, _ = run(text=json.dumps(document))
    assert code == 1
    named = [line.split(":")[0] for line in shown["differences"]]
    assert "positions[0].value_uusd" in named
    assert "maintenance_uusd" in named


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ("[]", "must be an object"),
        ('"margin"', "must be an object"),
        ('{"margin": {"unknown": 1}}', "unknown"),
        ('{"cash_uusd": 1e3}', "cash_uusd"),
        ('{"cash_uusd": "NaN"}', "incomplete"),
        ("{}", "incomplete"),
        ("[" * 10_000, "nests deeper"),
        ('{"positions": [{}]}', "incomplete"),
        ('{"margin_mode": "MARGIN_MODE_PORTFOLIO", "underlyings": [{}]}', "incomplete"),
        ('{"liens": [{"price_wad": "1", "recognized_amount": "1", "decimals": -1}]}', "decimals"),
    ],
)
def test_what_is_no_explanation_is_refused_with_the_reason(run, text, reason):
    code, shown, error = run(text=text)
    assert (code, shown) == (1, {})
    assert reason in error


def test_bytes_that_are_no_text_are_refused(run, tmp_path):
    path = tmp_path / "margin.json"
    path.write_bytes(b"\xff\xfe")
    code, _, error = run(str(path))
    assert code == 1
    assert "no JSON" in error


def test_a_file_or_an_account_is_needed(run, document):
    for words in ((), ("--owner", ALICE)):
        text = json.dumps(document) if words else None
        code, _, error = run(*words, text=text)
        assert code == 1
        assert "either a file or --owner" in error
