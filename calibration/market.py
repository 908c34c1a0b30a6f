"""Recorded prices: series of closes read from CSV files."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HOURLY_FILE: Final = "hourly_close_2020-09_2022-05_binance.csv"
DAILY_FILE: Final = "daily_close_2021_2022_twelve_assets.csv"
LONG_DAILY_FILE: Final = "daily_ohlcv_to_2024.csv"
STRESS_FILES: Final = (
    "intraday_2020-03-12_black_thursday.csv",
    "intraday_2021-05-19.csv",
    "intraday_2024-08-05.csv",
    "intraday_2025-02-03.csv",
)
DAY_S: Final = 86_400


class MarketDataError(Exception):
    """The folder of recorded prices is not what the report needs."""


@dataclass(frozen=True)
class Series:
    """Closes of one asset at one venue: `times_s` are the ends of bars, ascending, unix seconds."""

    asset: str
    venue: str
    bar_s: int
    times_s: NDArray[np.int64]
    closes: Floats

    @property
    def returns(self) -> Floats:
        """Natural logarithms of the ratios of successive closes."""
        logs: Floats = np.diff(np.log(self.closes))
        return logs

    @property
    def is_contiguous(self) -> bool:
        """Whether no bar is missing."""
        return bool(np.all(np.diff(self.times_s) == self.bar_s))


def _parse_time_s(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _read_rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            yield from csv.DictReader(file)
    except OSError as error:
        raise MarketDataError(f"{path.name}: {error.strerror}") from error


def make_series(asset: str, venue: str, bar_s: int, points: list[tuple[int, float]]) -> Series:
    """A series of (bar start, close) points; raises MarketDataError where they are no prices."""
    if len(points) < 3:
        raise MarketDataError(f"{asset} at {venue}: {len(points)} closes, needs 3")
    ordered = sorted(points)
    times = np.array([start + bar_s for start, _ in ordered], dtype=np.int64)
    closes = np.array([close for _, close in ordered], dtype=np.float64)
    if not (np.all(np.isfinite(closes)) and np.all(closes > 0)):
        raise MarketDataError(f"{asset} at {venue}: a close is not above zero")
    if np.any(np.diff(times) <= 0):
        raise MarketDataError(f"{asset} at {venue}: a bar appears twice")
    return Series(asset, venue, bar_s, times, closes)


def read_wide(path: Path, bar_s: int, venue: str) -> dict[str, Series]:
    """Series by asset of a table with a column an asset, as `eth_usdt`; blanks are left out."""
    points: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in _read_rows(path):
        start = _parse_time_s(row["ts_utc"])
        for column, text in row.items():
            if column != "ts_utc" and text:
                points[column.partition("_")[0].upper()].append((start, float(text)))
    return {asset: make_series(asset, venue, bar_s, p) for asset, p in sorted(points.items())}


def read_long(path: Path, *, market: str = "spot", default_bar_s: int = DAY_S) -> list[Series]:
    """Series of a table with a row a bar, in order of (asset, venue, bar)."""
    points: dict[tuple[str, str, int], list[tuple[int, float]]] = defaultdict(list)
    for row in _read_rows(path):
        if row["market"] == market:
            asset = row["symbol"].partition("/")[0]
            key = (asset, row["venue"], int(row.get("bar_s") or default_bar_s))
            points[key].append((_parse_time_s(row["ts_utc"]), float(row["close"])))
    return [make_series(*key, points[key]) for key in sorted(points)]


@dataclass(frozen=True)
class MarketData:
    """What the report reads of a folder."""

    hourly: dict[str, Series]
    daily: dict[str, Series]
    long_daily: list[Series]
    stress: dict[str, list[Series]]


def read_market(folder: Path) -> MarketData:
    """All series of a folder; raises MarketDataError naming the file that is missing or wrong."""
    try:
        return MarketData(
            hourly=read_wide(folder / HOURLY_FILE, 3_600, "binance"),
            daily=read_wide(folder / DAILY_FILE, DAY_S, "aggregate"),
            long_daily=read_long(folder / LONG_DAILY_FILE),
            stress={
                name.removeprefix("intraday_").removesuffix(".csv"): read_long(folder / name)
                for name in STRESS_FILES
            },
        )
    except (KeyError, ValueError) as error:
        raise MarketDataError(f"{folder.name}: {error}") from error


def to_json(value: Any) -> Any:
    """Numpy numbers and arrays as plain JSON values."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")
