"""What `marginchaind risk` refuses: the rule and the field are named, nothing else is printed.

Every document breaks one thing of a valid one. The exit code is 1, standard output stays empty,
and no file appears.
"""

import json
import sys

import pytest

from chain.cli import app as cli

OPTION = {"strike": "2200", "kind": "call", "amount": "-1", "vol": "0.7"}
EXPIRY = {"days": 30, "forward_variable": "2010", "rate": "0.05", "options": [OPTION]}
PERP = {"amount": "2", "price": "2000", "pnl": "0"}
PORTFOLIO = {"spot": "2000", "cash": "1000", "perp": PERP, "expiries": [EXPIRY]}
ROW = {"spot_shock": "-0.1", "vol": "up"}
HUGE = str(2**128)


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys):
    """Run a command whose "@" stands for a document; its error text, once all else is checked."""

    def call(*arguments, document=None):
        path = tmp_path / "document.json"
        if isinstance(document, bytes):
            path.write_bytes(document)
        elif document is not None:
            path.write_text(document if isinstance(document, str) else json.dumps(document))
        (tmp_path / "portfolio.json").write_text(json.dumps(PORTFOLIO))
        before = {file: file.read_bytes() for file in tmp_path.iterdir()}
        words = [
            str(path) if word == "@" else str(tmp_path / word) if word.endswith(".json") else word
            for word in arguments
        ]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["marginchaind", "risk", *words, "--output", "json"])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
        error = json.loads(captured.err)
        assert set(error) == {"error", "codespace", "code"}
        # A terminal must be able to show it.
        error["error"].encode()
        return error["error"]

    return call


def with_option(**changes):
    return PORTFOLIO | {"expiries": [EXPIRY | {"options": [OPTION | changes]}]}


def with_expiry(**changes):
    return PORTFOLIO | {"expiries": [EXPIRY | changes]}


def with_perp(**changes):
    return PORTFOLIO | {"perp": PERP | changes}


def options(count):
    return [OPTION | {"strike": str(1_000 + index)} for index in range(count)]


def text(field, written):
    """A portfolio with a JSON number that Python would not write so."""
    return json.dumps(PORTFOLIO | {field: "@"}).replace('"@"', written)


BAD_PORTFOLIOS = [
    # Prices zero, negative, 2^128.
    *[(PORTFOLIO | {"spot": value}, "spot") for value in ("0", "-2000", HUGE)],
    *[(with_perp(price=value), "perp_price") for value in ("0", "-1", HUGE)],
    *[(with_option(strike=value), "expiries[0].options[0].strike") for value in ("0", "-1", HUGE)],
    *[
        (with_expiry(forward_variable=value), "expiries[0].forward_variable")
        for value in ("0", "-1", HUGE)
    ],
    *[(with_expiry(forward_fixed=value), "expiries[0].forward_fixed") for value in ("-1", HUGE)],
    *[(PORTFOLIO | {"stable_price": value}, "stable_price") for value in ("0", "-1", HUGE)],
    # Volatility of zero, below, and of 2,000 %.
    *[(with_option(vol=value), "expiries[0].options[0].vol") for value in ("0", "-0.5", "20")],
    # An expiry in the past, or so far ahead that nobody lists it.
    (with_expiry(days=-1), "expiries[0].seconds"),
    (with_expiry(days=36_501), "expiries[0].seconds"),
    # Confidences, rates and amounts out of bounds.
    *[(PORTFOLIO | {"spot_confidence": value}, "spot_confidence") for value in ("-0.1", "1.1")],
    (with_perp(confidence="2"), "perp_confidence"),
    (with_expiry(vol_confidence="2"), "expiries[0].vol_confidence"),
    (with_expiry(rate="2.5"), "expiries[0].rate"),
    (with_expiry(latency="-0.1"), "expiries[0].latency"),
    (PORTFOLIO | {"base": "-1"}, "base"),
    (PORTFOLIO | {"cash": "-" + "9" * 30}, "cash"),
    (with_perp(pnl="9" * 30), "perp_pnl"),
    (with_option(amount="9" * 30), "expiries[0].options[0].amount"),
    (with_expiry(future="-" + "9" * 30), "expiries[0].future"),
    # Duplicates, and one more than there may be.
    (with_expiry(options=[OPTION, OPTION]), "expiries[0].options[1].strike"),
    (PORTFOLIO | {"expiries": [EXPIRY, EXPIRY]}, "expiries[1].seconds"),
    (with_expiry(options=options(129)), "129 options, at most 128"),
    (
        PORTFOLIO
        | {
            "expiries": [
                EXPIRY | {"options": options(65)},
                EXPIRY | {"days": 31, "options": options(64)},
            ]
        },
        "129 options, at most 128",
    ),
    (
        PORTFOLIO | {"expiries": [EXPIRY | {"days": day, "options": []} for day in range(129)]},
        "expiries: 129",
    ),
    # Numbers in other notations, and what is none.
    *[
        (text("cash", written), "cash")
        for written in (
            "1e3",
            "1E+3",
            "-2.5e-1",
            "NaN",
            "Infinity",
            "-Infinity",
            "null",
            "true",
            "[1]",
            "{}",
            '"1e3"',
            '"nan"',
            '"+1"',
            '" 1"',
            '"1,000"',
            '"0x10"',
            '"01"',
            '".5"',
            '"1."',
            '""',
            '"\\u0661"',
            "0." + "1" * 19,
            "9" * 5_000,
        )
    ],
    # Unknown and repeated fields at every level, and documents that are none.
    (PORTFOLIO | {"spto": "1"}, "spto: unknown field"),
    (with_perp(leverage="3"), "perp.leverage: unknown field"),
    (with_expiry(expiry="x"), "expiries[0].expiry: unknown field"),
    (with_option(delta="1"), "expiries[0].options[0].delta: unknown field"),
    ('{"spot": "1", "\\ud800": "1"}', "\\ud800: unknown field"),
    ('{"spot": "1", "perp": {"amount": "1", "amount": "2"}}', "'amount' stands twice"),
    (PORTFOLIO | {"underlyings": [PORTFOLIO]}, "underlyings: a scenario set margins one"),
    ({"underlyings": [{"spot": "1"}]}, "underlyings: a scenario set margins one"),
    ("", "no JSON"),
    ("\ufeff{}", "no JSON"),
    ('{"spot": "1"} {}', "no JSON"),
    ("[" * 9 + "]" * 9, "nests deeper than 8"),
    ('{"a":' * 50_000, "nests deeper than 8"),
    (b"\xff\xfe\x00", "no UTF-8 text at byte 0"),
    (b'{"spot": "\xe9"}', "no UTF-8 text at byte 10"),
    (" " * (1 << 20) + "{}", "larger than"),
]


@pytest.mark.parametrize(("document", "named"), BAD_PORTFOLIOS)
def test_bad_portfolios(refuse, document, named):
    assert named in refuse("margin", "@", document=document)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (PORTFOLIO | {"spot": "0"}, "spot"),
        (with_option(vol="20"), "options[0].vol"),
        (text("cash", "1e3"), "cash"),
        (b"\xff", "no UTF-8"),
    ],
)
@pytest.mark.parametrize(
    "command", [("scenarios", "@"), ("margin", "@", "--preset", "standard")], ids=" ".join
)
def test_every_command_reads_as_strictly(refuse, command, document, named):
    assert named in refuse(*command, document=document)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"underlyings": []}, "underlyings: empty"),
        ({"underlyings": {}}, "underlyings: must be a list"),
        ({"underlyings": [{"spot": "1"}] * 129}, "underlyings: 129"),
        ({"underlyings": [{"spot": "1"}, {"spot": "0"}]}, "underlyings[1].spot"),
        ({"underlyings": [{"spot": "1"}, {"spot": "1e1"}]}, "underlyings[1].spot"),
        ({"underlyings": [{"spot": "1", "cash": "5"}]}, "underlyings[0].cash: belongs beside"),
        ({"underlyings": [{"spot": "1"}], "spot": "1"}, "spot: unknown field"),
        ({"underlyings": ["1"]}, "underlyings[0]: must be an object"),
        ({"underlyings": [{"spot": "1"}], "stable_price": "0"}, "stable_price"),
    ],
)
def test_bad_accounts_of_several_underlyings(refuse, document, named):
    assert named in refuse("margin", "@", "--preset", "standard", document=document)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"scenarios": []}, "scenarios: 0 rows"),
        ({}, "scenarios: 0 rows"),
        ({"scenarios": [ROW] * 65}, "scenarios: 65 rows"),
        ({"scenarios": {}}, "scenarios: must be a list"),
        ({"scenarios": [ROW, {"vol": "up"}]}, "scenarios[1].spot_shock: missing"),
        ({"scenarios": [ROW, ROW | {"vol": "UP"}]}, "scenarios[1].vol: must be one of"),
        ({"scenarios": [ROW | {"spot_shock": "-1.01"}]}, "scenarios[0].spot"),
        ({"scenarios": [ROW | {"spot_shock": "99.1"}]}, "scenarios[0].spot"),
        ({"scenarios": [ROW | {"weight": "0"}]}, "scenarios[0].weight"),
        ({"scenarios": [ROW | {"weight": "-1"}]}, "scenarios[0].weight"),
        ({"scenarios": [ROW | {"weight": "1.000001"}]}, "scenarios[0].weight"),
        ({"scenarios": [ROW | {"weight": "0.0000001"}]}, "scenarios[0].weight"),
        ('{"scenarios": [{"spot_shock": 1e-1, "vol": "up"}]}', "scenarios[0].spot_shock"),
        ('{"scenarios": [{"spot_shock": NaN, "vol": "up"}]}', "scenarios[0].spot_shock"),
        ({"scenarios": [ROW | {"price": "1"}]}, "scenarios[0].price: unknown field"),
        ({"scenarios": [ROW], "parameters": {}}, "parameters: unknown field"),
        ("[" * 100_000, "nests deeper"),
        (b"\xff", "no UTF-8"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [("margin", "portfolio.json", "--scenarios", "@"), ("scenarios", "--scenarios", "@")],
    ids=["margin", "scenarios"],
)
def test_bad_scenario_sets(refuse, command, document, named):
    assert named in refuse(*command, document=document)


BAD_PARAMETERS = [
    ("pmrm21", "im_factor=0.99", "im_factor"),
    ("pmrm21", "im_factor=10.1", "im_factor"),
    ("pmrm21", "im_factor=1e1", "im_factor"),
    ("pmrm21", "im_factor=NaN", "im_factor"),
    ("pmrm21", "im_factor=", "im_factor"),
    ("pmrm21", "im_factor", "name=value"),
    ("pmrm21", "base_discount=1.01", "base_discount"),
    ("pmrm21", "vol_down=-0.1", "vol_down"),
    ("pmrm21", "dte_floor=1", "dte_floor_s: 1 must lie within [3600, 864000] (seconds)"),
    ("pmrm21", "dte_floor=3600.5", "dte_floor: must be whole seconds"),
    ("pmrm21", "price_range=0.2", "price_range is no parameter of pmrm21"),
    ("pmrm21", "hedged_delta_pct=0.01", "hedged_delta_pct"),
    ("span16", "price_range=1.1", "price_range"),
    ("span16", "price_range=0", "price_range"),
    ("scan24", "net_delta_pct=0", "hedged_delta_pct"),
    ("scan24", "perp_im=0.1", "perp_im is no parameter of scan24"),
    ("standard", "perp_im=11", "perp_im"),
    ("standard", "base_factor=1.01", "base_factor"),
    ("standard", "unpaired_im=-1", "unpaired_im"),
    ("standard", "im_factor=1.3", "im_factor is no parameter of standard margin"),
    ("pmrm22", "im_factor=2", "--preset pmrm22: must be one of"),
]


@pytest.mark.parametrize(("preset", "parameter", "named"), BAD_PARAMETERS)
@pytest.mark.parametrize("command", [("margin", "portfolio.json"), ("scenarios",)], ids=" ".join)
def test_bad_parameters(refuse, command, preset, parameter, named):
    assert named in refuse(*command, "--preset", preset, "--param", parameter)


GOOD_OPTION = {
    "--forward": "2000",
    "--strike": "2200",
    "--vol": "0.7",
    "--kind": "call",
    "--days": "30",
}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"--forward": "0"}, "--forward: must be above zero"),
        ({"--forward": "-1"}, "price"),
        ({"--forward": HUGE}, "price"),
        ({"--forward": "2e3"}, "--forward"),
        ({"--forward": None, "--spot": "0"}, "--spot: must be above zero"),
        ({"--forward": None}, "--forward or --spot"),
        ({"--spot": "2000"}, "--forward or --spot"),
        ({"--strike": "0"}, "strike"),
        ({"--strike": "-1"}, "strike"),
        ({"--strike": HUGE}, "strike"),
        ({"--strike": "NaN"}, "--strike"),
        ({"--vol": "-0.1"}, "volatility"),
        ({"--vol": "1000"}, "volatility"),
        ({"--vol": "7e-1"}, "--vol"),
        ({"--days": "-1"}, "time to expiry"),
        ({"--days": "36500"}, "time to expiry"),
        ({"--days": "0.00001"}, "--days: must be whole seconds"),
        ({"--days": "1e1"}, "--days"),
        ({"--days": None}, "--days or --seconds"),
        ({"--seconds": "60"}, "--days or --seconds"),
        ({"--days": None, "--seconds": "-1"}, "time to expiry"),
        ({"--kind": "CALL"}, "--kind"),
        ({"--rate": "2.01"}, "--rate"),
        ({"--rate": "inf"}, "--rate"),
        ({"--yield": "0.1"}, "--yield: a forward has none"),
    ],
)
def test_bad_options(refuse, changes, named):
    words = []
    for name, value in (GOOD_OPTION | changes).items():
        words += [] if value is None else [name, value]
    assert named in refuse("option", *words)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"--price": "0"}, "--price: must be above zero"),
        ({"--price": "-1"}, "--price"),
        ({"--price": HUGE}, "--price"),
        ({"--price": "2e3"}, "--price"),
        ({"--amount": "-1"}, "--amount"),
        ({"--amount": "NaN"}, "--amount"),
        ({"--amount": "9" * 23}, "--amount"),
        ({"--market": "-0.1"}, "--market"),
        ({"--security": "1e-2"}, "--security"),
        ({"--staleness": "-1"}, "--staleness"),
        ({"--vol": "20"}, "--vol: must lie within [0, 20)"),
        ({"--vol": "-1"}, "--vol"),
        ({"--seconds": str(10**12)}, "--seconds"),
        ({"--imf": "Infinity"}, "--imf"),
        ({"--owner-amount": "-1"}, "--owner-amount"),
    ],
)
def test_bad_haircuts(refuse, changes, named):
    good = {"--amount": "10", "--price": "2000", "--market": "0.15", "--vol": "0.8"}
    words = [word for pair in (good | changes).items() for word in pair]
    assert named in refuse("haircut", *words)
