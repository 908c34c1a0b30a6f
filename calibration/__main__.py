"""`python -m calibration [--data FOLDER] [--output text|json] [--plots FOLDER]`.

Ends with 1 when a shipped parameter is not one that the data support, with 2 when the named folder
is not one of market data, and with 0 when no folder was named and there is none.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from calibration.market import MarketDataError, read_market, to_json
from calibration.plots import write_plots
from calibration.report import Report, build_report
from calibration.shipped import get_shipped

DEFAULT_DATA = Path("../shared/data/market")
DEFAULT_PLOTS = Path(".calibration")


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, Mapping):
        return " ".join(f"{key}:{_show(item)}" for key, item in value.items())
    return "" if value is None else str(value)


def _print_table(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*map(_show, row.values()))
    console.print(table)
    console.print()


def print_report(report: Report, console: Console) -> None:
    """The report as tables of text."""
    _print_table(console, "Realised volatility and losses of a bar", report.volatilities)
    _print_table(console, "Forecasts: QLIKE, lower is better", report.forecasts)
    _print_table(console, "Correlation of hourly returns", report.correlations)
    coverage = [
        {
            "asset": item.asset,
            "delta_t_s": item.delta_t_s,
            "windows": item.windows,
            "exceeded": item.exceedances,
            "rate": item.rate,
            "days": item.days,
            "days_exceeded": len(item.days_exceeded),
            "kupiec_p": item.kupiec_p,
            "z_needed": item.ratio_quantiles,
            "worst_loss": item.worst_loss,
            "shortfall": item.shortfall,
        }
        for item in report.coverage
    ]
    _print_table(console, "Losses over δt against the latency premium L", coverage)
    worst = [
        {"asset": item.asset, "delta_t_s": item.delta_t_s, "day": day, "exceeded": count}
        for item in report.coverage
        for day, count in item.days_exceeded.items()
        if count >= 3
    ]
    if worst:
        _print_table(console, "Days with three windows or more beyond L", worst)
    _print_table(
        console, "A day's loss against market haircut and L of two hours", report.day_losses
    )
    _print_table(console, "Events, each from its own first day", report.stress)
    verdicts = [
        {
            "parameter": item.parameter,
            "shipped": item.shipped,
            "data": item.supported,
            "supported": item.is_supported,
        }
        for item in report.verdicts
    ]
    _print_table(console, "Shipped parameters", verdicts)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="calibration", description=__doc__)
    parser.add_argument("--data", type=Path, help=f"folder of market data (default {DEFAULT_DATA})")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--plots", type=Path, default=DEFAULT_PLOTS, help="folder for PNG files")
    options = parser.parse_args(arguments)
    folder = options.data or DEFAULT_DATA
    if not folder.is_dir():
        message = f"no market data at {folder}: name a folder of CSV files with DIR=FOLDER\n"
        sys.stderr.write(message)
        return 0 if options.data is None else 2
    try:
        data = read_market(folder)
    except MarketDataError as error:
        sys.stderr.write(f"market data: {error}\n")
        return 2
    shipped = get_shipped()
    report = build_report(data, shipped)
    paths = write_plots(data, report, shipped, options.plots)
    if options.output == "json":
        print(json.dumps(report.to_dict(), default=to_json, indent=1))
    else:
        print_report(report, Console(width=220))
        print("plots: " + ", ".join(map(str, paths)))
    return 0 if all(item.is_supported for item in report.verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
