"""Figures of the story: from lock to credit, and from liquidation trigger to delivery.

    python -m benchmarks.bench_story [--validators 2,1,1]

Plays the demo's story on a network of its own, real CometBFT processes and relayer included, and
prints what its report measured, in blocks of the hub and in seconds.
"""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from localnet.demo.run import play_demo
from localnet.deployment import LocalnetOptions

CHAINS = ("hub-1", "alpha-1", "beta-1")


def main() -> None:
    """Play once and print the spans and the measured routes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validators", default="2,1,1")
    counts = [int(text) for text in parser.parse_args().validators.split(",")]
    options = LocalnetOptions(
        validators=dict(zip(CHAINS, counts, strict=True)), has_habitual_ports=False
    )
    with tempfile.TemporaryDirectory() as folder:
        report = play_demo(
            Path(folder) / "net",
            Path(folder) / "report.json",
            Console(quiet=True),
            options=options,
        )
    for span in (*report["lock_to_credit"], *report["liquidation_to_delivery"]):
        print(
            f"  {span['from']['event']} -> {span['to']['event']} ({span['amount']}): "
            f"{span['seconds']:.1f} s, {span['blocks']} blocks"
        )
    for route in report["routes"]:
        print(
            f"  route {route['route']}: proof age {route['proof_age_ms']} ms, delivery p50 "
            f"{route['delivery_p50_ms']} ms, p95 {route['delivery_p95_ms']} ms"
        )
    print(f"  every check holds: {report['holds']}")


if __name__ == "__main__":
    main()
