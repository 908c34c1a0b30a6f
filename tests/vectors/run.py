"""The conformance run: `python -m tests.vectors.run [FOLDER]` prints a line for each family.

Exits 0 only when every case of every family agrees (cases where the chain is stricter on purpose
are counted apart), 1 on a disagreement or when a family found no case, 2 when the folder is absent.
"""

import importlib
import os
import pkgutil
import sys
import time
from pathlib import Path

from tests.vectors import families

DEFAULT_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "vectors"


def get_vector_folder(arguments: list[str]) -> Path:
    """The folder named on the command line, else MARGIN_VECTORS, else that beside the project."""
    if arguments:
        return Path(arguments[0])
    return Path(os.environ.get("MARGIN_VECTORS") or DEFAULT_FOLDER)


def get_family_names() -> list[str]:
    """Names of all family modules, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(families.__path__))


def run_family(name: str, folder: Path) -> tuple[int, int, int, list[str]]:
    """Run one family: (agree, stricter, total, the disagreements named)."""
    agree = stricter = total = 0
    disagreements = []
    for case in importlib.import_module(f"tests.vectors.families.{name}").run(folder):
        total += 1
        if case.agree:
            agree += 1
        elif case.stricter:
            stricter += 1
        else:
            disagreements.append(f"{case.name}: {case.detail}")
    return agree, stricter, total, disagreements


def main(arguments: list[str]) -> int:
    """Run all families and print `family agree/total`, each disagreement named."""
    folder = get_vector_folder(arguments)
    if not folder.is_dir():
        print(f"no vectors: {folder} is not a folder; name one with DIR=FOLDER")
        return 2
    failed = False
    for name in get_family_names():
        start = time.monotonic()
        agree, stricter, total, disagreements = run_family(name, folder)
        noted = f" ({stricter} stricter, on purpose)" if stricter else ""
        seconds = time.monotonic() - start
        print(f"{name} {agree + stricter}/{total}{noted} [{seconds:.1f} s]", flush=True)
        for disagreement in disagreements:
            print(f"  disagrees: {disagreement}")
        if total == 0:
            print(f"  no case of this family in {folder}")
        failed = failed or bool(disagreements) or total == 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
