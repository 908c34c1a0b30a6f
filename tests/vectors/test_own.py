"""The committed vectors: read by the families that read the official ones, and reproducible."""

from pathlib import Path

import pytest

from tests.vectors.own.generate import FOLDER, build_files
from tests.vectors.run import run_family

ROOT = FOLDER.parent


@pytest.mark.parametrize(("family", "count"), [("lightclient", 14), ("hashes_signbytes", 9)])
def test_family_agrees_on_the_committed_vectors(family: str, count: int) -> None:
    agree, _, total, disagreements = run_family(family, ROOT)
    assert disagreements == []
    assert agree == total == count


@pytest.mark.parametrize("name", ["light_verify.json", "cometbft_hashes_signbytes.json"])
def test_committed_vectors_are_what_the_generator_writes(name: str) -> None:
    assert Path(FOLDER / name).read_text() == build_files()[name]
