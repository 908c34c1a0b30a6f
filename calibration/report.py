"""The report itself: realised volatility, forecasts, correlation, coverage, and the verdicts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from calibration.coverage import Coverage, compute_coverage, compute_kupiec
from calibration.forecasts import (
    WARM_UP_BARS,
    Forecasts,
    VolatilityRules,
    compute_forecasts,
    compute_qlike,
    compute_realized_volatility,
    filter_ewma,
    fit_garch,
)
from calibration.market import DAY_S, Floats, MarketData, Series
from calibration.shipped import Shipped
from chain.risk.haircut import compute_latency_premium_ppm
from chain.units import PPM, WAD, YEAR_S

HORIZONS_S: Final = (3_600, 7_200, 21_600, 86_400)
COVERAGE_TARGET: Final = 0.01
"""The premium means to cover 99 of 100 windows: what clearing houses ask of initial margin."""
SIGNIFICANCE: Final = 0.01
LAMBDA_GRID: Final = (0.90, 0.94, 0.97, 0.99)
SOLD_WITHIN_S: Final = 7_200
"""δt at which a day's loss is judged: what a slow route and an auction take."""
STABLE_ASSETS: Final = ("DAI", "USDC", "USDT")
ROLLING_BARS: Final = 720


@dataclass(frozen=True)
class Verdict:
    """One shipped parameter, what the data support, and whether the shipped one is within it."""

    parameter: str
    shipped: str
    supported: str
    is_supported: bool


@dataclass(frozen=True)
class Report:
    """All tables of the report, as rows of plain values."""

    volatilities: list[dict[str, Any]]
    forecasts: list[dict[str, Any]]
    correlations: list[dict[str, Any]]
    coverage: list[Coverage]
    day_losses: list[dict[str, Any]]
    stress: list[dict[str, Any]]
    verdicts: list[Verdict]

    def to_dict(self) -> dict[str, Any]:
        """The report as one JSON object; every exceedance stands under its day."""
        tables = asdict(self)
        for row, item in zip(tables["coverage"], self.coverage, strict=True):
            row["rate"] = item.rate
        return tables


def make_rules(shipped: Shipped, long_run: float) -> VolatilityRules:
    """The shipped forecast of an asset whose governed long-run volatility is this."""
    share = (PPM - shipped.garch_alpha_ppm - shipped.garch_beta_ppm) / PPM
    return VolatilityRules(
        lambda_ppm=shipped.lambda_ppm,
        garch_alpha_ppm=shipped.garch_alpha_ppm,
        garch_beta_ppm=shipped.garch_beta_ppm,
        garch_omega_wad=round(share * long_run**2 * 10**9) * 10**9,
    )


def describe_volatility(series: Series) -> dict[str, Any]:
    """Realised volatility of a whole series and of its calmest and wildest 30 days."""
    bars = max(2, 30 * DAY_S // series.bar_s)
    squares = np.concatenate([[0.0], np.cumsum(series.returns**2)])
    rolling = np.sqrt((squares[bars:] - squares[:-bars]) / bars * YEAR_S / series.bar_s)
    losses = 1 - series.closes[1:] / series.closes[:-1]
    return {
        "asset": series.asset,
        "venue": series.venue,
        "bar_s": series.bar_s,
        "bars": len(series.closes),
        "volatility": compute_realized_volatility(series.returns, series.bar_s),
        "calmest_30d": float(np.min(rolling)) if len(rolling) else None,
        "wildest_30d": float(np.max(rolling)) if len(rolling) else None,
        "loss_99": float(np.quantile(losses, 0.99)),
        "loss_999": float(np.quantile(losses, 0.999)),
        "worst_loss": float(np.max(losses)),
    }


def describe_forecast(series: Series, forecasts: Forecasts) -> dict[str, Any]:
    """QLIKE of EWMAs, of the shipped GARCH and of the larger of both; and the best fit."""
    fit = fit_garch(series.returns, series.bar_s)
    start = float(np.mean(series.returns[:WARM_UP_BARS] ** 2))
    annual = YEAR_S / series.bar_s

    def judge(variance: Floats) -> float:
        return compute_qlike(variance, series.returns, series.bar_s)

    row: dict[str, Any] = {"asset": series.asset}
    for decay in LAMBDA_GRID:
        row[f"ewma_{decay:g}"] = judge(filter_ewma(series.returns, decay, start) * annual)
    row["garch_shipped"] = judge(forecasts.garch)
    row["larger"] = judge(np.maximum(forecasts.ewma, forecasts.garch))
    row["garch_larger_share"] = float(np.mean(forecasts.garch > forecasts.ewma))
    row["fit_alpha"], row["fit_beta"] = fit.alpha, fit.beta
    return row


def _align(left: Series, right: Series) -> tuple[Floats, Floats]:
    """Returns of the bars that both series have."""
    _, first, second = np.intersect1d(left.times_s, right.times_s, return_indices=True)
    return np.diff(np.log(left.closes[first])), np.diff(np.log(right.closes[second]))


def describe_correlations(hourly: Mapping[str, Series]) -> list[dict[str, Any]]:
    """Correlation of each pair: over all, and over the least and most alike 30 days."""
    rows = []
    names = sorted(hourly)
    for index, left in enumerate(names):
        for right in names[index + 1 :]:
            first, second = _align(hourly[left], hourly[right])
            rolling = [
                float(np.corrcoef(first[k : k + ROLLING_BARS], second[k : k + ROLLING_BARS])[0, 1])
                for k in range(0, len(first) - ROLLING_BARS + 1, ROLLING_BARS // 4)
            ]
            rows.append(
                {
                    "pair": f"{left}-{right}",
                    "correlation": float(np.corrcoef(first, second)[0, 1]),
                    "least_30d": min(rolling, default=None),
                    "most_30d": max(rolling, default=None),
                }
            )
    return rows


def describe_day_loss(series: Series, forecasts: Forecasts, shipped: Shipped) -> dict[str, Any]:
    """How often a day's loss exceeded market haircut and premium together, also on wild days."""
    step = DAY_S // series.bar_s
    windows = hits = wild = wild_hits = 0
    worst = shortfall = 0.0
    for start in range(WARM_UP_BARS, len(series.closes) - step, step):
        if series.times_s[start + step] - series.times_s[start] != DAY_S:
            continue
        sigma = forecasts.volatility_wad[start]
        market_ppm = shipped.compute_market_haircut_ppm(sigma)
        premium = min(PPM, compute_latency_premium_ppm(sigma, SOLD_WITHIN_S, shipped.confidence_z))
        haircut = 1 - (1 - market_ppm / PPM) * (1 - premium / PPM)
        loss = 1 - float(series.closes[start + step] / series.closes[start])
        is_wild = sigma > shipped.volatility_reference_wad
        windows, wild = windows + 1, wild + is_wild
        worst = max(worst, loss)
        if loss > haircut:
            hits, wild_hits = hits + 1, wild_hits + is_wild
            shortfall = max(shortfall, loss - haircut)
    return {
        "asset": series.asset,
        "days": windows,
        "exceeded": hits,
        "kupiec_p": compute_kupiec(windows, hits, COVERAGE_TARGET)[1] if windows else None,
        "wild_days": wild,
        "wild_exceeded": wild_hits,
        "worst_loss": worst,
        "shortfall": shortfall,
    }


def describe_stress(event: str, series: Series, shipped: Shipped) -> dict[str, Any]:
    """An event at one venue: losses over an hour and a day against what the chain would hold."""
    volatility = compute_realized_volatility(series.returns[:WARM_UP_BARS], series.bar_s)
    forecasts = compute_forecasts(
        series, make_rules(shipped, max(volatility, 0.01)), shipped.volatility_floor_wad
    )
    hour = compute_coverage(series, forecasts.volatility_wad, 3_600)
    step = min(len(series.closes) - 1, DAY_S // series.bar_s)
    return {
        "event": event,
        "asset": series.asset,
        "venue": series.venue,
        "bar_s": series.bar_s,
        "peak_volatility": max(forecasts.volatility_wad) / WAD,
        "hours": hour.windows,
        "exceeded": hour.exceedances,
        "worst_hour": hour.worst_loss,
        "shortfall": hour.shortfall,
        "worst_day": float(np.max(1 - series.closes[step:] / series.closes[:-step])),
    }


def build_report(data: MarketData, shipped: Shipped) -> Report:
    """All tables of the report; takes tens of seconds on the full folder."""
    forecasts = {
        asset: compute_forecasts(
            series,
            make_rules(shipped, compute_realized_volatility(series.returns, series.bar_s)),
            shipped.volatility_floor_wad,
        )
        for asset, series in data.hourly.items()
    }
    volatilities = [
        describe_volatility(series)
        for series in [*data.hourly.values(), *data.daily.values(), *data.long_daily]
    ]
    forecast_rows = [describe_forecast(s, forecasts[a]) for a, s in data.hourly.items()]
    coverage = [
        compute_coverage(
            series, forecasts[asset].volatility_wad, horizon, confidence_z=shipped.confidence_z
        )
        for asset, series in data.hourly.items()
        for horizon in HORIZONS_S
    ]
    correlations = describe_correlations(data.hourly)
    day_losses = [describe_day_loss(s, forecasts[a], shipped) for a, s in data.hourly.items()]
    stress = [
        describe_stress(event, series, shipped)
        for event, group in data.stress.items()
        for series in group
        if 3_600 % series.bar_s == 0 and len(series.closes) > 140
    ]
    return Report(
        volatilities,
        forecast_rows,
        correlations,
        coverage,
        day_losses,
        stress,
        judge(shipped, volatilities, forecast_rows, correlations, coverage, day_losses, stress),
    )


def judge(
    shipped: Shipped,
    volatilities: list[dict[str, Any]],
    forecasts: list[dict[str, Any]],
    correlations: list[dict[str, Any]],
    coverage: list[Coverage],
    day_losses: list[dict[str, Any]],
    stress: list[dict[str, Any]],
) -> list[Verdict]:
    """Each shipped parameter against what the tables support."""
    means = {
        decay: float(np.mean([row[f"ewma_{decay:g}"] for row in forecasts]))
        for decay in LAMBDA_GRID
    }
    best = min(means.values())
    decays = [decay for decay, mean in means.items() if mean <= best + 0.01]
    alphas = [row["fit_alpha"] for row in forecasts]
    sums = [row["fit_alpha"] + row["fit_beta"] for row in forecasts]
    alpha = shipped.garch_alpha_ppm / PPM
    persistence = (shipped.garch_alpha_ppm + shipped.garch_beta_ppm) / PPM
    too_many = [
        item
        for item in coverage
        if item.rate > COVERAGE_TARGET and item.kupiec_p["0.01"] < SIGNIFICANCE
    ]
    needed = float(np.median([item.ratio_quantiles["0.99"] for item in coverage]))
    swings = [
        max(row["correlation"] - row["least_30d"], row["most_30d"] - row["correlation"])
        for row in correlations
        if row["least_30d"] is not None
    ]
    bad_days = [
        row
        for row in day_losses
        if row["exceeded"] > COVERAGE_TARGET * row["days"] and row["kupiec_p"] < SIGNIFICANCE
    ]
    worst_day = max((r["worst_day"] for r in stress if r["asset"] == "ETH"), default=0.0)
    stable = max(
        (r["worst_loss"] for r in volatilities if r["asset"] in STABLE_ASSETS), default=0.0
    )
    premium = compute_latency_premium_ppm(
        shipped.volatility_floor_wad, shipped.horizon_s, shipped.confidence_z
    )
    calmest = min(
        (r["calmest_30d"] for r in volatilities if r["asset"] == "ETH" and r["calmest_30d"]),
        default=0.0,
    )
    eth = next((row for row in volatilities if row["asset"] == "ETH"), volatilities[0])
    return [
        Verdict(
            "oracle lambda_ppm",
            str(shipped.lambda_ppm),
            f"within 0.01 QLIKE of the best: {', '.join(f'{d:g}' for d in decays)}",
            shipped.lambda_ppm / PPM in decays,
        ),
        Verdict(
            "oracle garch_alpha_ppm",
            str(shipped.garch_alpha_ppm),
            f"fits of the assets: {min(alphas):.3f} to {max(alphas):.3f}",
            min(alphas) - 0.005 <= alpha <= max(alphas) + 0.005,
        ),
        Verdict(
            "oracle garch alpha + beta",
            f"{persistence:.3f}",
            f"fits of the assets: {min(sums):.3f} to {max(sums):.3f}",
            min(sums) - 0.005 <= persistence <= max(sums) + 0.005,
        ),
        Verdict(
            "confidence z",
            str(shipped.confidence_z),
            f"99 % of windows need {needed:.2f} (median); "
            f"{len(too_many)} of {len(coverage)} rejected as too few",
            not too_many,
        ),
        Verdict(
            "volatility_floor_wad",
            f"{shipped.volatility_floor_wad / WAD:.0%}",
            f"with it {len(too_many)} of {len(coverage)} are rejected; ETH's calmest 30 days "
            f"had {calmest:.0%}, which no premium should be built on",
            not too_many and shipped.volatility_floor_wad / WAD >= calmest,
        ),
        Verdict(
            "oracle correlation.band_ppm",
            str(shipped.correlation_band_ppm),
            f"30 days strayed from a pair's own mean by at most {max(swings, default=0.0):.2f}",
            shipped.correlation_band_ppm / PPM >= max(swings, default=0.0),
        ),
        Verdict(
            "ETH market haircut base, beta, reference",
            f"{shipped.market_haircut_ppm} + {shipped.volatility_beta_ppm} * "
            f"max(0, sigma - {shipped.volatility_reference_wad / WAD:g})",
            f"a day's loss exceeded it too often for: "
            f"{', '.join(row['asset'] for row in bad_days) or 'none'}",
            not bad_days,
        ),
        Verdict(
            "ETH maintenance_ppm",
            f"{shipped.maintenance_ppm} + L {premium}",
            f"99.9 % of ETH's bars lost at most {eth['loss_999']:.4f}",
            (shipped.maintenance_ppm + premium) / PPM >= eth["loss_999"],
        ),
        Verdict(
            "ETH market_haircut_max_ppm",
            str(shipped.market_haircut_max_ppm),
            f"worst day of ETH in the events lost {worst_day:.4f}",
            shipped.market_haircut_max_ppm / PPM >= worst_day,
        ),
        Verdict(
            "USDC market_haircut_ppm",
            str(shipped.stable_haircut_ppm),
            f"worst day of {', '.join(STABLE_ASSETS)} lost {stable:.4f}",
            shipped.stable_haircut_ppm / PPM >= stable,
        ),
    ]
