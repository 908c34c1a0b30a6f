"""Chunks that match their announced hashes and are still no state of the chain."""

from hashlib import sha256

import pytest

from chain._pb.margin.store.v1 import store_pb2 as pb
from chain.merkle import iavl, simple
from chain.node.storage import open_commit_store
from chain.runtime.commit_store import Snapshot

STORES = ("bank", "ibc")


def node(height, version=1, key=b"", value=b""):
    return pb.SnapshotItem(
        node=pb.SnapshotNode(version=version, height=height, key=key, value=value)
    )


def leaf(key, version=1):
    return node(0, version, key, b"v")


def store_item(name):
    return pb.SnapshotItem(store=name)


LEAF_HASHES = {key: iavl.hash_leaf(key, b"v", 1) for key in (b"a", b"b", b"c", b"d")}
INNER = iavl.hash_inner(1, 2, 1, LEAF_HASHES[b"a"], LEAF_HASHES[b"b"])
GOOD = [store_item("bank"), leaf(b"a"), leaf(b"b"), node(1), store_item("ibc")]
APP_HASH = simple.compute_app_hash({"bank": INNER, "ibc": iavl.EMPTY_ROOT_HASH})


def apply(items, app_hash=APP_HASH):
    chunk = pb.SnapshotChunk(items=items).SerializeToString()
    metadata = pb.SnapshotMetadata(chunk_hashes=[sha256(chunk).digest()]).SerializeToString()
    store = open_commit_store(None, STORES)
    offer = Snapshot(1, 1, 1, sha256(metadata).digest(), metadata)
    assert store.offer_snapshot(offer, app_hash) == 1
    verdict = store.apply_snapshot_chunk(0, chunk, "peer").verdict
    height = store.height
    store.close()
    return verdict, height


def test_the_good_chunk_is_accepted():
    assert apply(GOOD) == (1, 1)


@pytest.mark.parametrize(
    "items",
    [
        [],
        GOOD[1:],
        GOOD[:-1],
        GOOD[:1] + GOOD[2:],
        [GOOD[0], leaf(b"b"), leaf(b"a"), *GOOD[3:]],
        [GOOD[0], leaf(b"a"), leaf(b"a"), *GOOD[3:]],
        [GOOD[0], leaf(b""), leaf(b"b"), *GOOD[3:]],
        [GOOD[0], node(0, 1, b"a"), leaf(b"b"), *GOOD[3:]],
        [*GOOD[:3], node(2), GOOD[4]],
        [*GOOD[:3], node(1, 0), GOOD[4]],
        [*GOOD[:3], node(1, 2), GOOD[4]],
        [*GOOD[:3], node(1, 1, b"b"), GOOD[4]],
        [*GOOD[:3], node(1, 1, b"", b"v"), GOOD[4]],
        [*GOOD[:3], GOOD[4]],
        [*GOOD, store_item("bank")],
        [*GOOD, leaf(b"a")],
        [*GOOD, store_item("zoo")],
        [*GOOD, store_item("")],
        [*GOOD, store_item("x" * 300)],
        [*GOOD, pb.SnapshotItem()],
        [store_item("bank"), leaf(b"a"), leaf(b"b"), node(1), leaf(b"c"), node(2), leaf(b"d"),
         node(3), GOOD[4]],
    ],
)  # fmt: skip
def test_a_malformed_chunk_rejects_the_snapshot(items):
    assert apply(items) == (5, 0)


def test_bytes_that_do_not_decode_reject_the_snapshot():
    chunk = b"\xff" * 50
    metadata = pb.SnapshotMetadata(chunk_hashes=[sha256(chunk).digest()]).SerializeToString()
    store = open_commit_store(None, STORES)
    store.offer_snapshot(Snapshot(1, 1, 1, sha256(metadata).digest(), metadata), APP_HASH)
    assert store.apply_snapshot_chunk(0, chunk, "peer").verdict == 5
    store.close()
