"""The merkle families over the shared vectors, and over our own small committed set."""

import importlib
import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("MARGIN_VECTORS") or REPO.parent / "shared" / "vectors")
OWN = REPO / "tests" / "vectors" / "own"


def check(family, folder, least):
    results = list(importlib.import_module(f"tests.vectors.families.{family}").run(folder))
    assert len(results) >= least
    assert [case for case in results if not case.agree and not case.stricter] == []


@pytest.mark.parametrize(
    ("family", "least"),
    [("iavl", 400), ("ics23", 300), ("simple_merkle", 50), ("ibc_merkle_proofs", 40)],
)
def test_shared_vectors_agree(family, least):
    if not SHARED.is_dir():
        pytest.skip(f"no shared vectors at {SHARED}; set MARGIN_VECTORS")
    check(family, SHARED, least)


@pytest.mark.parametrize(("family", "least"), [("iavl", 20), ("ics23", 40)])
def test_own_vectors_agree(family, least):
    check(family, OWN, least)
