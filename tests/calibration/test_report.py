import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from calibration import __main__ as program
from calibration import market
from calibration.market import MarketDataError, Series, make_series, read_market, read_wide
from calibration.report import build_report, describe_correlations, describe_volatility, judge
from calibration.shipped import get_shipped
from chain.units import WAD

START_S = 1_600_000_000 - 1_600_000_000 % 86_400
ASSETS = ("btc", "eth")


def make_text(index, bar_s):
    moment = datetime.fromtimestamp(START_S + index * bar_s, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def make_paths(bars, seed, bar_s):
    """Two correlated random walks at 80 % a year."""
    generator = np.random.default_rng(seed)
    shared, own = generator.standard_normal(bars), generator.standard_normal(bars)
    sigma = 0.8 * (bar_s / 31_536_000) ** 0.5
    returns = np.stack([shared, 0.6 * shared + 0.8 * own]) * sigma
    return 1_000 * np.exp(np.cumsum(returns, axis=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("market")
    for name, bars, bar_s in ((market.HOURLY_FILE, 1_500, 3_600), (market.DAILY_FILE, 60, 86_400)):
        rows = ["ts_utc,btc_usdt,eth_usdt,usdc_usd"]
        for index, closes in enumerate(make_paths(bars, 1, bar_s).T):
            rows.append(f"{make_text(index, bar_s)},{closes[0]},{closes[1]},1.0{index % 2}")
        path.joinpath(name).write_text("\n".join(rows) + "\n")
    header = "ts_utc,bar_s,venue,market,symbol,open,high,low,close,volume_base"
    for name in market.STRESS_FILES:
        rows = [header]
        for index, closes in enumerate(make_paths(192, 2, 3_600).T):
            stamp = make_text(index, 3_600)
            rows.append(f"{stamp},3600,binance,spot,ETH/USDT,1,1,1,{closes[1]},5")
            rows.append(f"{stamp},3600,binance,perp,ETH/USDT,1,1,1,9,5")
        path.joinpath(name).write_text("\n".join(rows) + "\n")
    rows = [header.replace("bar_s,", "")]
    rows += [
        f"{make_text(index, 86_400)},binance,spot,BTC/USDT,1,1,1,{closes[0]},5"
        for index, closes in enumerate(make_paths(90, 3, 86_400).T)
    ]
    path.joinpath(market.LONG_DAILY_FILE).write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def report(folder):
    return build_report(read_market(folder), get_shipped())


def test_report_finds_what_made_the_data(report):
    first = report.volatilities[0]
    assert (first["asset"], first["bars"]) == ("BTC", 1_500)
    assert first["volatility"] == pytest.approx(0.8, abs=0.04)
    pair = next(row for row in report.correlations if row["pair"] == "BTC-ETH")
    assert pair["correlation"] == pytest.approx(0.6, abs=0.05)
    # Normal returns: about 0.13 % of windows exceed three standard deviations.
    hourly = next(c for c in report.coverage if (c.asset, c.delta_t_s) == ("BTC", 3_600))
    assert hourly.windows == 1_500 - 1 - 24
    assert hourly.rate < 0.008
    assert {row["asset"] for row in report.stress} == {"ETH"}
    assert len(report.stress) == len(market.STRESS_FILES)


def find(verdicts, parameter):
    return next(item.is_supported for item in verdicts if item.parameter == parameter)


@pytest.mark.parametrize(
    ("parameter", "changes"),
    [
        ("oracle lambda_ppm", {"lambda_ppm": 500_000}),
        ("oracle garch_alpha_ppm", {"garch_alpha_ppm": 500_000}),
        ("oracle garch alpha + beta", {"garch_beta_ppm": 500_000}),
        ("volatility_floor_wad", {"volatility_floor_wad": WAD // 100}),
        ("oracle correlation.band_ppm", {"correlation_band_ppm": 0}),
        ("USDC market_haircut_ppm", {"stable_haircut_ppm": 1_000}),
        ("ETH maintenance_ppm", {"maintenance_ppm": 1_000}),
        ("ETH market_haircut_max_ppm", {"market_haircut_max_ppm": 10_000}),
    ],
)
def test_verdict_follows_the_parameter(report, parameter, changes):
    verdicts = judge(
        replace(get_shipped(), **changes),
        report.volatilities,
        report.forecasts,
        report.correlations,
        report.coverage,
        report.day_losses,
        report.stress,
    )
    assert not find(verdicts, parameter)


def test_too_small_a_z_is_rejected(folder, report):
    assert find(report.verdicts, "confidence z")
    verdicts = build_report(read_market(folder), replace(get_shipped(), confidence_z=1)).verdicts
    assert not find(verdicts, "confidence z")


def test_shipped_are_the_defaults_of_the_chain():
    shipped = get_shipped()
    assert shipped.compute_market_haircut_ppm(shipped.volatility_reference_wad) == 150_000
    assert shipped.compute_market_haircut_ppm(2 * WAD) == 200_000


def test_command_prints_json_and_pictures(folder, tmp_path, capsys):
    code = program.main(
        ["--data", str(folder), "--output", "json", "--plots", str(tmp_path / "plots")]
    )
    tables = json.loads(capsys.readouterr().out)
    assert code == (0 if all(v["is_supported"] for v in tables["verdicts"]) else 1)
    assert len(tables["coverage"]) == 12
    pictures = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert pictures == ["correlations.png", "coverage.png", "eth_losses.png", "volatility.png"]
    assert all(p.read_bytes()[:4] == b"\x89PNG" for p in (tmp_path / "plots").iterdir())


def test_tables_are_printed(report):
    stream = StringIO()
    program.print_report(report, Console(file=stream, width=220))
    for title in ("Realised volatility", "QLIKE", "latency premium", "Shipped parameters"):
        assert title in stream.getvalue()


def test_without_data_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert program.main([]) == 0
    assert "no market data" in capsys.readouterr().err
    assert program.main(["--data", str(tmp_path / "none")]) == 2
    (tmp_path / "empty").mkdir()
    assert program.main(["--data", str(tmp_path / "empty")]) == 2
    assert market.HOURLY_FILE in capsys.readouterr().err


@pytest.mark.parametrize("close", ["0", "-1", "nan", "inf"])
def test_close_that_is_no_price_is_refused(tmp_path, close):
    path = tmp_path / "wide.csv"
    rows = [f"{make_text(i, 3_600)},{close if i == 1 else 5}" for i in range(4)]
    path.write_text("ts_utc,eth_usd\n" + "\n".join(rows) + "\n")
    with pytest.raises(MarketDataError, match="not above zero"):
        read_wide(path, 3_600, "test")


def test_bars_end_after_they_start_and_come_once():
    series = make_series("X", "test", 60, [(60, 2.0), (0, 1.0), (120, 3.0)])
    assert list(series.times_s) == [60, 120, 180]
    assert list(series.closes) == [1.0, 2.0, 3.0]
    assert series.is_contiguous
    with pytest.raises(MarketDataError, match="twice"):
        make_series("X", "test", 60, [(0, 1.0), (0, 1.0), (60, 1.0)])
    with pytest.raises(MarketDataError, match="needs 3"):
        make_series("X", "test", 60, [(0, 1.0), (60, 1.0)])


def test_correlation_is_of_common_bars_only():
    prices = make_paths(800, 5, 3_600)
    times = np.arange(800, dtype=np.int64) * 3_600
    full = Series("A", "test", 3_600, times, prices[0])
    part = Series("B", "test", 3_600, times[10:], prices[0][10:])
    rows = describe_correlations({"A": full, "B": part})
    assert rows[0]["correlation"] == pytest.approx(1)


def test_short_series_has_no_rolling_volatility():
    row = describe_volatility(
        make_series("X", "t", 86_400, [(0, 1.0), (86_400, 2.0), (172_800, 1)])
    )
    assert row["calmest_30d"] is None
    assert row["worst_loss"] == 0.5
