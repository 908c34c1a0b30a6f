"""Every vector family agrees with its oracles; a clean clone without the vectors skips them."""

import pytest

from tests.vectors.run import get_family_names, get_vector_folder, run_family

FOLDER = get_vector_folder([])


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no vectors at {FOLDER}")
@pytest.mark.parametrize("name", get_family_names())
def test_family_agrees_with_its_oracle(name: str) -> None:
    agree, stricter, total, disagreements = run_family(name, FOLDER)
    assert disagreements == []
    assert agree + stricter == total > 0
