"""Volatility forecasts along a series: the chain's own integers, and a fit to compare them with."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import minimize

from calibration.market import Floats, Series
from chain.risk.volatility import (
    compute_ewma_variance_wad,
    compute_garch_variance_wad,
    compute_log_return,
    compute_volatility_wad,
)
from chain.units import PPM, WAD, YEAR_S

WARM_UP_BARS = 24


@dataclass(frozen=True)
class VolatilityRules:
    """Parameters of the chain's two forecasts; `long_run_wad` is an annual volatility."""

    lambda_ppm: int
    garch_alpha_ppm: int
    garch_beta_ppm: int
    garch_omega_wad: int
    return_ppm_max: int = PPM


@dataclass(frozen=True)
class Forecasts:
    """Annual variances known at each close, for what follows it; the first come of the warm-up."""

    ewma: Floats
    garch: Floats
    volatility_wad: list[int]


def compute_forecasts(series: Series, rules: VolatilityRules, floor_wad: int = 0) -> Forecasts:
    """The chain's forecasts at every close of a series, sampled once a bar.

    They start from the annual variance of the first bars, as a chain starts from a governed one.
    """
    prices = [round(close * 10**9) * 10**9 for close in series.closes]
    first = series.returns[:WARM_UP_BARS]
    variance = int(float(np.mean(first**2)) * YEAR_S / series.bar_s * WAD)
    ewma, garch = [variance], [variance]
    for before, after in pairwise(prices):
        move = compute_log_return(before, after, rules.return_ppm_max)
        ewma.append(compute_ewma_variance_wad(ewma[-1], move, series.bar_s, rules.lambda_ppm))
        garch.append(
            compute_garch_variance_wad(
                garch[-1],
                move,
                series.bar_s,
                omega_wad=rules.garch_omega_wad,
                alpha_ppm=rules.garch_alpha_ppm,
                beta_ppm=rules.garch_beta_ppm,
            )
        )
    return Forecasts(
        np.array([value / WAD for value in ewma]),
        np.array([value / WAD for value in garch]),
        [
            max(floor_wad, compute_volatility_wad(max(left, right)))
            for left, right in zip(ewma, garch, strict=True)
        ],
    )


def compute_realized_volatility(returns: Floats, bar_s: int) -> float:
    """Annual volatility of returns about zero."""
    return float(np.sqrt(np.mean(returns**2) * YEAR_S / bar_s))


def compute_qlike(variance: Floats, returns: Floats, bar_s: int) -> float:
    """Mean of ln(v) + r²/v over forecasts of annual variance; lower is better (Patton 2011)."""
    bar_variance = variance[:-1] * bar_s / YEAR_S
    skipped = slice(WARM_UP_BARS, None)
    losses = np.log(bar_variance) + returns**2 / bar_variance
    return float(np.mean(losses[skipped]))


def filter_ewma(returns: Floats, decay: float, start: float) -> Floats:
    """EWMA variances of a bar in floats, one more than returns."""
    variances = np.empty(len(returns) + 1)
    variances[0] = start
    for index, move in enumerate(returns):
        variances[index + 1] = decay * variances[index] + (1 - decay) * move * move
    return variances


@dataclass(frozen=True)
class GarchFit:
    """A GARCH(1,1) fitted by Gaussian likelihood, its long-run variance held at the sample's."""

    alpha: float
    beta: float
    long_run_volatility: float


def filter_garch(returns: Floats, alpha: float, beta: float, long_run: float) -> Floats:
    """GARCH variances of a bar in floats, one more than returns; `long_run` is a bar's variance."""
    variances = np.empty(len(returns) + 1)
    variances[0] = long_run
    omega = (1 - alpha - beta) * long_run
    for index, move in enumerate(returns):
        variances[index + 1] = omega + alpha * move * move + beta * variances[index]
    return variances


def fit_garch(returns: Floats, bar_s: int) -> GarchFit:
    """The (alpha, beta) of the greatest likelihood, by variance targeting."""
    long_run = float(np.mean(returns**2))

    def compute_loss(point: Floats) -> float:
        alpha, beta = float(point[0]), float(point[1])
        if alpha <= 0 or beta <= 0 or alpha + beta >= 0.9999:
            return 1e9
        variances = filter_garch(returns, alpha, beta, long_run)[:-1]
        return float(np.mean(np.log(variances) + returns**2 / variances))

    answer = minimize(
        compute_loss, np.array([0.08, 0.88]), method="Nelder-Mead", options={"xatol": 1e-3}
    )
    return GarchFit(
        float(answer.x[0]), float(answer.x[1]), float(np.sqrt(long_run * YEAR_S / bar_s))
    )
