"""Inclusion proofs of RFC 6962 trees (merkle/rfc6962-transparency-dev)."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from chain.merkle import simple
from tests.vectors.families import CaseResult


def run(folder: Path) -> Iterator[CaseResult]:
    """A case per proof file; a wrong leaf index or tree size counts as refused."""
    base = folder / "merkle" / "rfc6962-transparency-dev"
    for path in sorted((base / "inclusion").rglob("*.json")):
        case = json.loads(path.read_text())
        accepted = simple.is_included(
            base64.b64decode(case["root"] or ""),
            case["leafIdx"],
            case["treeSize"],
            base64.b64decode(case["leafHash"] or ""),
            [base64.b64decode(aunt) for aunt in case["proof"] or []],
        )
        yield CaseResult(
            str(path.relative_to(base)),
            accepted != case["wantErr"],
            f"accepted={accepted}, wantErr={case['wantErr']}",
        )
