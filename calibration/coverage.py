"""How often the loss over δt exceeded the latency premium, and whether that is as often as said."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from scipy.special import xlogy
from scipy.stats import chi2

from calibration.forecasts import WARM_UP_BARS
from calibration.market import Series
from chain.risk.haircut import CONFIDENCE_Z, compute_latency_premium_ppm
from chain.units import PPM, WAD, YEAR_S


@dataclass(frozen=True)
class Coverage:
    """Windows of δt that follow one another, and those whose loss exceeded the haircut.

    `ratio_quantiles` are quantiles of loss / (sigma·√δt): the z that a coverage would have needed.
    `shortfall` is the largest loss beyond the haircut.
    """

    asset: str
    delta_t_s: int
    windows: int
    exceedances: int
    days: int
    days_exceeded: dict[str, int]
    kupiec_p: dict[str, float]
    ratio_quantiles: dict[str, float]
    worst_loss: float
    shortfall: float
    target: float = field(default=0.01)

    @property
    def rate(self) -> float:
        """Share of windows that exceeded."""
        return self.exceedances / self.windows if self.windows else 0.0


def compute_kupiec(windows: int, exceedances: int, probability: float) -> tuple[float, float]:
    """The likelihood ratio of Kupiec's proportion-of-failures test and its p-value.

    A small p-value says that exceedances do not come with the stated probability: too many or too
    few. One degree of freedom (Kupiec 1995).
    """
    if windows <= 0 or not 0 <= exceedances <= windows or not 0 < probability < 1:
        raise ValueError("needs 0 <= exceedances <= windows, windows > 0, 0 < probability < 1")
    hits, misses = exceedances, windows - exceedances
    rate = hits / windows
    stated = xlogy(hits, probability) + xlogy(misses, 1 - probability)
    seen = xlogy(hits, rate) + xlogy(misses, 1 - rate)
    ratio = max(0.0, float(2 * (seen - stated)))
    return ratio, float(chi2.sf(ratio, 1))


def compute_coverage(
    series: Series,
    volatility_wad: list[int],
    delta_t_s: int,
    *,
    confidence_z: int = CONFIDENCE_Z,
    market_haircut_ppm: int = 0,
) -> Coverage:
    """Judge a haircut by the losses that followed; `delta_t_s` is a multiple of the bar.

    A window starts where the one before ended, so that losses are independent; one across a gap in
    the data is left out. The haircut is the latency premium plus a market haircut.
    """
    step, rest = divmod(delta_t_s, series.bar_s)
    if rest or step < 1:
        raise ValueError(f"δt {delta_t_s} s must be a multiple of the bar of {series.bar_s} s")
    windows, exceedances, worst, shortfall = 0, 0, 0.0, 0.0
    ratios: list[float] = []
    exceeded: dict[str, int] = {}
    days: set[int] = set()
    for start in range(WARM_UP_BARS, len(series.closes) - step, step):
        if series.times_s[start + step] - series.times_s[start] != delta_t_s:
            continue
        loss = max(0.0, 1 - float(series.closes[start + step] / series.closes[start]))
        sigma_wad = volatility_wad[start]
        premium = compute_latency_premium_ppm(sigma_wad, delta_t_s, confidence_z)
        haircut = min(PPM, premium + market_haircut_ppm) / PPM
        windows += 1
        days.add(int(series.times_s[start]) // 86_400)
        worst = max(worst, loss)
        if sigma_wad:
            ratios.append(loss / (sigma_wad / WAD * (delta_t_s / YEAR_S) ** 0.5))
        if loss > haircut:
            exceedances += 1
            shortfall = max(shortfall, loss - haircut)
            day = datetime.fromtimestamp(int(series.times_s[start]), UTC).date().isoformat()
            exceeded[day] = exceeded.get(day, 0) + 1
    levels = (0.01, 0.005, 0.001)
    return Coverage(
        asset=series.asset,
        delta_t_s=delta_t_s,
        windows=windows,
        exceedances=exceedances,
        days=len(days),
        days_exceeded=exceeded,
        kupiec_p={
            f"{level:g}": compute_kupiec(windows, exceedances, level)[1] if windows else 1.0
            for level in levels
        },
        ratio_quantiles={
            f"{1 - level:g}": float(np.quantile(ratios, 1 - level)) if ratios else 0.0
            for level in levels
        },
        worst_loss=worst,
        shortfall=shortfall,
    )
