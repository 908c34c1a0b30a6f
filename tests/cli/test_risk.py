"""The risk calculator in process: what it prints, and what it refuses by field."""

import copy
import json
import sys

import pytest

from chain.cli import app as cli

PORTFOLIO = {
    "spot": "2000",
    "cash": "1000",
    "base": "0",
    "perp": {"amount": "2", "price": "2000", "pnl": "0"},
    "expiries": [
        {
            "days": 30,
            "forward_variable": "2010",
            "rate": "0.05",
            "options": [
                {"strike": "2200", "kind": "call", "amount": "-1", "vol": "0.7"},
                {"strike": 2400, "kind": "call", "amount": 1, "vol": 0.75},
            ],
        }
    ],
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run `marginchaind risk`; a document goes to a file whose name replaces "@"."""

    def call(*arguments, document=None, output="json"):
        path = tmp_path / "portfolio.json"
        if document is not None:
            text = document if isinstance(document, str) else json.dumps(document)
            path.write_text(text)
        words = [str(path) if word == "@" else word for word in arguments]
        monkeypatch.setattr(sys, "argv", ["marginchaind", "risk", *words, "--output", output])
        code = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code or 0
        captured = capsys.readouterr()
        shown = json.loads(captured.out) if captured.out and output == "json" else captured.out
        return code, shown, captured.err

    return call


def test_margin_of_a_perpetual(run):
    held = {"spot": 2000, "perp": {"amount": 2}}
    code, shown, _ = run("margin", "@", document=held)
    assert code == 0
    assert shown["maintenance_margin"] == "-680"
    assert shown["initial_margin"] == "-884"
    assert shown["worst_scenario"]["spot_shock"] == "-15 %"
    assert shown["state"] == "backstop"
    assert shown["greeks"]["delta"] == "2"


def test_margin_of_a_future_against_a_perpetual(run):
    expiry = {"days": 365, "forward_variable": "2000", "future": "-2"}
    held = {"spot": "2000", "perp": {"amount": "2"}, "expiries": [expiry]}
    _, shown, _ = run("margin", "@", document=held)
    # No scenario loses; the basis takes 5 % of 4,000 by 0.25 + 0.01, static 2 % of both legs.
    assert (shown["basis"], shown["static"]) == ("-52", "160")
    assert shown["maintenance_margin"] == "-212"
    assert shown["greeks"]["delta"] == "0"
    _, shown, _ = run("margin", "@", "--preset", "standard", document=held)
    assert shown["maintenance_margin"] == "-400"


@pytest.mark.parametrize("preset", ["pmrm21", "span16", "scan24", "standard"])
def test_every_preset_prints_both_forms(run, preset):
    code, shown, _ = run("margin", "@", "--preset", preset, document=PORTFOLIO)
    assert code == 0
    assert shown["preset"] == preset
    assert float(shown["initial_margin"]) < float(shown["maintenance_margin"])
    code, text, _ = run("margin", "@", "--preset", preset, document=PORTFOLIO, output="text")
    assert code == 0
    assert shown["initial_margin"] in text


def test_parameters_and_custom_scenarios(run, tmp_path):
    held = {"spot": 2000, "perp": {"amount": 2}}
    _, shown, _ = run(
        "margin", "@", "--param", "im_factor=2", "--param", "perp_pct=0", document=held
    )
    assert (shown["maintenance_margin"], shown["initial_margin"]) == ("-600", "-1200")
    rows = tmp_path / "rows.json"
    rows.write_text('{"scenarios": [{"spot_shock": "-0.5", "vol": "none", "weight": "0.5"}]}')
    _, shown, _ = run("margin", "@", "--scenarios", str(rows), document=held)
    assert (shown["preset"], shown["maintenance_margin"]) == ("custom", "-1080")
    rows.write_text('{"scenarios": []}')
    code, _, error = run("margin", "@", "--scenarios", str(rows), document=held)
    assert code == 1
    assert "0 rows" in error


def test_standard_takes_several_underlyings(run):
    held = {
        "cash": "1000",
        "underlyings": [
            {"spot": "2000", "perp": {"amount": "1"}},
            {"spot": "50000", "perp": {"amount": "-0.1"}},
        ],
    }
    _, shown, _ = run("margin", "@", "--preset", "standard", document=held)
    assert shown["initial_margin"] == "545"
    assert (shown["initial_requirement"], shown["maintenance_requirement"]) == ("455", "350")
    assert [part["perp_initial"] for part in shown["underlyings"]] == ["-130", "-325"]


def test_scenarios_mark_the_worst_row(run):
    _, shown, _ = run("scenarios", "@", document=PORTFOLIO)
    assert len(shown["scenarios"]) == 21
    worst = [row for row in shown["scenarios"] if row["worst"]]
    assert len(worst) == 1
    assert float(worst[0]["pnl"]) == min(float(row["pnl"]) for row in shown["scenarios"])
    _, bare, _ = run("scenarios", "--preset", "scan24")
    assert len(bare["scenarios"]) == 24
    assert bare["parameters"]["mm_factor"] == "0.5"


def test_option_and_haircut(run):
    line = "option --forward 2000 --strike 2000 --vol 0.7 --kind call --seconds 0"
    _, shown, _ = run(*line.split())
    assert shown["price"] == "0"
    line = "option --spot 100 --strike 100 --vol 0.2 --rate 0.05 --days 365 --kind call"
    _, shown, _ = run(*line.split())
    # The textbook's option: 10.4506, delta 0.6368.
    assert shown["price"].startswith("10.45058357")
    assert shown["delta"].startswith("0.63683065")
    line = "haircut --amount 10 --price 2000 --market 0.15 --vol 0.8 --seconds 900 --security 0.02"
    _, shown, _ = run(*line.split())
    assert (shown["haircut_ppm"], shown["counted"]) == (177_682, "16446.36")


def change(**changes):
    return PORTFOLIO | changes


def change_option(**changes):
    document = copy.deepcopy(PORTFOLIO)
    document["expiries"][0]["options"][0] |= changes
    return document


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (change(spot="0"), "spot"),
        (change(spot="-1"), "spot"),
        (change(spot=str(2**128)), "spot"),
        (change(spot="2e3"), "spot"),
        ('{"spot": 2e3}', "spot"),
        ('{"spot": NaN}', "spot"),
        ('{"spot": Infinity}', "spot"),
        ('{"spot": 2000, "cash": 1.0000000000000000001}', "cash"),
        ('{"spot": 2000, "spot": 1}', "stands twice"),
        ('{"spot": true}', "spot"),
        ('{"spot": null}', "spot"),
        ("[" * 100_000, "nests deeper"),
        ("{", "no JSON"),
        ("[]", "must be an object"),
        (change(price="1"), "price: unknown field"),
        (change(expiries={}), "expiries: must be a list"),
        (change_option(vol="0"), "options[0].vol"),
        (change_option(vol="20"), "options[0].vol"),
        (change_option(kind="cal"), "options[0].kind"),
        (change_option(strike=2400), "options[1].strike"),
        (change_option(expiry="1"), "options[0].expiry: unknown"),
        (change(expiries=[{"days": -1, "forward_variable": 1}]), "expiries[0].seconds"),
        (change(expiries=[{"days": 1, "seconds": 1, "forward_variable": 1}]), "expiries[0].days"),
        (change(expiries=[{"seconds": "0.5", "forward_variable": 1}]), "expiries[0].seconds"),
        (change(expiries=[{"seconds": 1}]), "expiries[0].forward_variable: missing"),
        (change(underlyings=[]), "underlyings"),
    ],
)
def test_bad_documents_are_refused_by_field(run, document, field):
    code, shown, error = run("margin", "@", document=document)
    assert code == 1
    assert not shown
    assert field in json.loads(error)["error"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("margin", "@", "--param", "im_factor=0.5"), "im_factor"),
        (("margin", "@", "--param", "im_factor=1e1"), "im_factor"),
        (("margin", "@", "--param", "nonsense=1"), "nonsense"),
        (("margin", "@", "--param", "im_factor"), "name=value"),
        (("margin", "@", "--preset", "pmrm22"), "--preset pmrm22"),
        (("margin", "@", "--preset", "standard", "--param", "im_factor=1"), "im_factor"),
        (("scenarios", "@", "--preset", "standard"), "no scenarios"),
        (("option", "--strike", "1", "--vol", "1", "--kind", "call", "--days", "1"), "--forward"),
        (
            (
                "option",
                "--strike",
                "0",
                "--vol",
                "1",
                "--kind",
                "call",
                "--days",
                "1",
                "--spot",
                "1",
            ),
            "strike",
        ),
        (("haircut", "--amount", "-1", "--price", "1"), "--amount"),
        (("haircut", "--amount", "1", "--price", "0"), "--price"),
    ],
)
def test_bad_options_are_refused_by_name(run, arguments, named):
    code, _, error = run(*arguments, document=PORTFOLIO)
    assert code == 1
    assert named in json.loads(error)["error"]
