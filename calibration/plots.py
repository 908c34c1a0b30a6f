"""The report's pictures, as PNG files."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from calibration.forecasts import compute_forecasts, compute_realized_volatility
from calibration.market import MarketData
from calibration.report import COVERAGE_TARGET, HORIZONS_S, Report, make_rules
from calibration.shipped import Shipped
from chain.risk.haircut import compute_latency_premium_ppm
from chain.units import PPM, WAD

DPI = 110


def _plot_volatility(data: MarketData, shipped: Shipped, path: Path) -> None:
    """EWMA and GARCH of each hourly series over time."""
    figure, axes = plt.subplots(len(data.hourly), 1, figsize=(11, 2.4 * len(data.hourly)))
    for axis, (asset, series) in zip(np.atleast_1d(axes), data.hourly.items(), strict=True):
        long_run = compute_realized_volatility(series.returns, series.bar_s)
        forecasts = compute_forecasts(series, make_rules(shipped, long_run))
        times = series.times_s.astype("datetime64[s]")
        axis.plot(times, np.sqrt(forecasts.ewma), lw=0.6, label="EWMA")
        axis.plot(times, np.sqrt(forecasts.garch), lw=0.6, label="GARCH(1,1) forecast")
        axis.axhline(shipped.volatility_floor_wad / WAD, color="k", ls=":", lw=0.8, label="floor")
        axis.set_ylabel(f"{asset}\nannual volatility")
        axis.set_ylim(0, None)
    np.atleast_1d(axes)[0].legend(loc="upper right", ncols=3, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def _plot_coverage(report: Report, path: Path) -> None:
    """Share of windows whose loss exceeded the premium, an asset and δt a bar."""
    assets = sorted({item.asset for item in report.coverage})
    figure, axis = plt.subplots(figsize=(10, 4.5))
    width = 0.8 / len(HORIZONS_S)
    for place, horizon in enumerate(HORIZONS_S):
        rates = [
            next(c.rate for c in report.coverage if (c.asset, c.delta_t_s) == (asset, horizon))
            for asset in assets
        ]
        axis.bar(
            np.arange(len(assets)) + (place - 1.5) * width,
            np.array(rates) * 100,
            width,
            label=f"δt {horizon // 3_600} h",
        )
    axis.axhline(COVERAGE_TARGET * 100, color="k", ls="--", lw=1, label="1 % target")
    axis.set_xticks(np.arange(len(assets)), assets)
    axis.set_ylabel("windows whose loss exceeded L, %")
    axis.set_ylim(0, 1.15 * max(axis.get_ylim()[1], COVERAGE_TARGET * 100))
    axis.legend(fontsize=8, ncols=5)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def _plot_losses(data: MarketData, shipped: Shipped, path: Path) -> None:
    """Hourly losses of ETH under the premium that held at their start."""
    series = data.hourly.get("ETH") or next(iter(data.hourly.values()))
    long_run = compute_realized_volatility(series.returns, series.bar_s)
    forecasts = compute_forecasts(
        series, make_rules(shipped, long_run), shipped.volatility_floor_wad
    )
    premium = [
        100 * compute_latency_premium_ppm(v, series.bar_s, shipped.confidence_z) / PPM
        for v in forecasts.volatility_wad[:-1]
    ]
    losses = 100 * np.maximum(0, 1 - series.closes[1:] / series.closes[:-1])
    times = series.times_s[1:].astype("datetime64[s]")
    exceeded = losses > np.array(premium)
    figure, axis = plt.subplots(figsize=(11, 4.5))
    axis.plot(times, losses, ".", ms=1.5, color="0.6", label="loss within L")
    axis.plot(times[exceeded], losses[exceeded], "r.", ms=4, label="loss beyond L")
    axis.plot(times, premium, lw=0.7, label="L of one hour")
    axis.set_ylabel(f"{series.asset}: % of value")
    axis.legend(loc="upper right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def _plot_correlations(report: Report, path: Path) -> None:
    """Each pair's correlation with the range of its 30-day windows."""
    rows = sorted(report.correlations, key=lambda row: float(row["correlation"]))
    figure, axis = plt.subplots(figsize=(9, 4.5))
    for place, row in enumerate(rows):
        if row["least_30d"] is not None:
            axis.plot([row["least_30d"], row["most_30d"]], [place, place], "-", color="0.6", lw=3)
        axis.plot(row["correlation"], place, "ko", ms=5)
    axis.set_yticks(range(len(rows)), [row["pair"] for row in rows])
    axis.set_xlabel("correlation of hourly returns; grey: range of 30-day windows")
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def write_plots(data: MarketData, report: Report, shipped: Shipped, folder: Path) -> list[Path]:
    """Write all pictures into a folder, which is created; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [
        folder / f"{name}.png" for name in ("volatility", "coverage", "eth_losses", "correlations")
    ]
    _plot_volatility(data, shipped, paths[0])
    _plot_coverage(report, paths[1])
    _plot_losses(data, shipped, paths[2])
    _plot_correlations(report, paths[3])
    return paths
