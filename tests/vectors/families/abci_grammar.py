"""generated/abci_grammar.json: our call grammar against CometBFT's own checker."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.support.abci_grammar import check_grammar
from tests.vectors.families import CaseResult


def run(folder: Path) -> Iterator[CaseResult]:
    """One result a recorded log: the verdicts must be the same."""
    path = folder / "generated" / "abci_grammar.json"
    for number, case in enumerate(json.loads(path.read_text())["cases"]):
        error = check_grammar(case["calls"], is_clean_start=case["is_clean_start"])
        is_agreed = (error is None) == case["valid"]
        detail = "" if is_agreed else f"expected valid={case['valid']}, found {error or 'valid'}"
        yield CaseResult(f"abci_grammar[{number}]", is_agreed, detail)
