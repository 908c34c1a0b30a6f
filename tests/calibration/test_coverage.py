import math

import numpy as np
import pytest

from calibration.coverage import compute_coverage, compute_kupiec
from calibration.forecasts import (
    WARM_UP_BARS,
    VolatilityRules,
    compute_forecasts,
    compute_qlike,
    compute_realized_volatility,
    filter_ewma,
    filter_garch,
    fit_garch,
)
from calibration.market import make_series
from chain.units import WAD, YEAR_S
from localnet.feeds.black_thursday import BAR_S, BINANCE_ETH_USDT, FIRST_BAR_UNIX_S

RULES = VolatilityRules(940_000, 70_000, 917_000, 13_000 * WAD // 10**6)


@pytest.fixture
def black_thursday():
    points = [
        (FIRST_BAR_UNIX_S + index * BAR_S, float(close))
        for index, close in enumerate(BINANCE_ETH_USDT)
    ]
    return make_series("ETH", "binance", BAR_S, points)


def make_steps(losses, bar_s=3_600):
    """A series that stands still but for these losses, each after the warm-up."""
    closes = [100.0] * (WARM_UP_BARS + 1)
    for loss in losses:
        closes.append(closes[-1] * (1 - loss))
    return make_series("X", "test", bar_s, [(i * bar_s, c) for i, c in enumerate(closes)])


@pytest.mark.parametrize(
    ("windows", "hits", "probability", "ratio"),
    [
        (1_000, 10, 0.01, 0.0),
        (100, 0, 0.01, 2 * -100 * math.log(0.99)),
        (5, 5, 0.5, -10 * math.log(0.5)),
    ],
)
def test_kupiec_statistic(windows, hits, probability, ratio):
    statistic, p_value = compute_kupiec(windows, hits, probability)
    assert statistic == pytest.approx(ratio, abs=2e-3)
    assert p_value == pytest.approx(math.erfc(math.sqrt(statistic / 2)), rel=1e-9)


@pytest.mark.parametrize(
    ("windows", "probability", "fewest", "most"),
    # Kupiec (1995), table 3: the failures that a test of size 5 % keeps.
    [(255, 0.01, 0, 6), (510, 0.01, 2, 10), (1_000, 0.01, 5, 16), (1_000, 0.05, 38, 64)],
)
def test_kupiec_keeps_the_published_region(windows, probability, fewest, most):
    kept = [n for n in range(120) if compute_kupiec(windows, n, probability)[1] > 0.05]
    assert kept[-1] == most
    assert kept[0] <= fewest + 1
    assert kept == list(range(kept[0], kept[-1] + 1))


@pytest.mark.parametrize("arguments", [(0, 0, 0.01), (5, 6, 0.01), (5, -1, 0.01), (5, 1, 0.0)])
def test_kupiec_needs_sensible_numbers(arguments):
    with pytest.raises(ValueError, match="exceedances"):
        compute_kupiec(*arguments)


def test_exceedances_are_counted_by_day_and_to_the_edge():
    # sigma of 80 % over one hour: L = 25,643 ppm.
    series = make_steps([0.0257, 0.0256, 0.0, 0.03, 0.0, 0.0])
    coverage = compute_coverage(series, [80 * WAD // 100] * len(series.closes), 3_600)
    assert (coverage.windows, coverage.exceedances) == (6, 2)
    assert coverage.days_exceeded == {"1970-01-02": 2}
    assert coverage.shortfall == pytest.approx(0.03 - 0.025643, abs=1e-6)
    assert coverage.worst_loss == pytest.approx(0.03)


def test_windows_follow_one_another_without_overlap_and_not_across_gaps():
    series = make_steps([0.02] * 8)
    assert compute_coverage(series, [WAD] * len(series.closes), 7_200).windows == 4
    gapped = series.times_s.copy()
    gapped[-1] += 3_600
    gone = type(series)("X", "test", 3_600, gapped, series.closes)
    assert compute_coverage(gone, [WAD] * len(series.closes), 7_200).windows == 3


def test_market_haircut_adds_to_the_premium():
    series = make_steps([0.10, 0.05])
    volatility = [WAD] * len(series.closes)
    assert compute_coverage(series, volatility, 3_600).exceedances == 2
    assert compute_coverage(series, volatility, 3_600, market_haircut_ppm=50_000).exceedances == 1


@pytest.mark.parametrize("delta_t_s", [1_800, 5_400, 0])
def test_horizon_is_a_multiple_of_the_bar(delta_t_s):
    with pytest.raises(ValueError, match="multiple of the bar"):
        compute_coverage(make_steps([0.1]), [WAD] * 26, delta_t_s)


def test_black_thursday_beats_the_premium(black_thursday):
    forecasts = compute_forecasts(black_thursday, RULES)
    coverage = compute_coverage(black_thursday, forecasts.volatility_wad, 3_600)
    # After the first day the volatility is so high that no hour of the second exceeds it.
    assert coverage.windows == 23
    assert coverage.exceedances == 0
    assert coverage.worst_loss == pytest.approx(1 - 109.70 / 124.24)


def test_forecasts_are_those_of_the_chain(black_thursday):
    forecasts = compute_forecasts(black_thursday, RULES)
    floats = filter_ewma(
        black_thursday.returns, 0.94, float(np.mean(black_thursday.returns[:WARM_UP_BARS] ** 2))
    )
    assert forecasts.ewma == pytest.approx(floats * YEAR_S / BAR_S, rel=1e-9)
    assert len(forecasts.volatility_wad) == len(black_thursday.closes)
    for volatility, ewma, garch in zip(
        forecasts.volatility_wad, forecasts.ewma, forecasts.garch, strict=True
    ):
        assert volatility / WAD == pytest.approx(max(ewma, garch) ** 0.5, rel=1e-9)


def test_floor_lifts_the_volatility(black_thursday):
    assert min(compute_forecasts(black_thursday, RULES, 9 * WAD).volatility_wad) == 9 * WAD


def test_fit_finds_the_process_that_made_the_returns():
    generator = np.random.default_rng(7)
    alpha, beta, long_run = 0.08, 0.90, 1e-4
    variance, returns = long_run, []
    for shock in generator.standard_normal(8_000):
        returns.append(math.sqrt(variance) * shock)
        variance = (1 - alpha - beta) * long_run + alpha * returns[-1] ** 2 + beta * variance
    fit = fit_garch(np.array(returns), 3_600)
    assert fit.alpha == pytest.approx(alpha, abs=0.02)
    assert fit.beta == pytest.approx(beta, abs=0.03)
    # And the right model forecasts better than a constant or a wrong one.
    moves = np.array(returns)
    right = compute_qlike(filter_garch(moves, alpha, beta, long_run), moves, YEAR_S)
    still = compute_qlike(np.full(len(moves) + 1, long_run), moves, YEAR_S)
    wrong = compute_qlike(filter_garch(moves, 0.3, 0.3, long_run), moves, YEAR_S)
    assert right < still
    assert right < wrong


def test_realized_volatility_is_annual():
    returns = np.array([0.01, -0.01] * 10)
    assert compute_realized_volatility(returns, 3_600) == pytest.approx(0.01 * math.sqrt(8_760))
