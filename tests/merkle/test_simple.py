from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.merkle import ics23, simple


def compute_by_definition(items):
    """RFC 6962 as written: split at the largest power of two below the size."""
    if not items:
        return sha256(b"").digest()
    if len(items) == 1:
        return sha256(b"\x00" + items[0]).digest()
    split = 1
    while split * 2 < len(items):
        split *= 2
    left, right = compute_by_definition(items[:split]), compute_by_definition(items[split:])
    return sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("size", [*range(20), 31, 32, 33, 100])
def test_the_root_follows_the_definition(size):
    items = [b"item %d" % index for index in range(size)]
    assert simple.compute_root(items) == compute_by_definition(items)


@given(st.integers(1, 40), st.data())
def test_a_proof_holds_at_its_place_and_nowhere_else(size, data):
    hashes = [simple.hash_leaf(b"%d" % index) for index in range(size)]
    index = data.draw(st.integers(0, size - 1))
    root = simple.compute_root_of_hashes(hashes)
    aunts = simple.compute_aunts(hashes, index)
    assert simple.is_included(root, index, size, hashes[index], aunts)
    for other in range(size):
        if other != index:
            assert not simple.is_included(root, other, size, hashes[index], aunts)
    assert not simple.is_included(root, index, size, hashes[index], [*aunts, bytes(32)])
    if aunts:
        assert not simple.is_included(root, index, size, hashes[index], aunts[:-1])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_every_store_is_proven_under_the_app_hash(count):
    roots = {f"store{index}": sha256(b"%d" % index).digest() for index in range(count)}
    app_hash = simple.compute_app_hash(roots)
    for name, root in roots.items():
        proof = simple.prove_store(roots, name)
        ics23.verify_existence(proof, ics23.TENDERMINT_SPEC, app_hash, name.encode(), root)


def test_the_app_hash_depends_on_names_and_not_on_order():
    roots = {"a": bytes(32), "b": bytes([1]) * 32}
    assert simple.compute_app_hash(roots) == simple.compute_app_hash(
        {"b": roots["b"], "a": bytes(32)}
    )
    assert simple.compute_app_hash(roots) != simple.compute_app_hash(
        {"a": roots["b"], "b": bytes(32)}
    )
