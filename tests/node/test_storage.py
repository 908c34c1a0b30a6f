import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.merkle import iavl, ics23, ics23_codec
from chain.node.cache import GenerationCache
from chain.node.storage import StoreOptions, open_commit_store
from chain.runtime.commit_store import (
    EmptyStoreHasNoProof,
    HeightNotAvailable,
    StoreNotOpen,
    UnknownStore,
)
from tests.node import store_writer

STORES = ("bank", "ibc")


@pytest.fixture(params=["memory", "level"])
def store(request, tmp_path):
    path = tmp_path if request.param == "level" else None
    opened = open_commit_store(path, STORES, StoreOptions(keep_versions=4, node_cache_entries=64))
    yield opened
    opened.close()


def commit(store, writes):
    height = store.height + 1
    app_hash = store.stage(height, writes)
    store.commit()
    assert (store.height, store.app_hash) == (height, app_hash)
    return app_hash


def read_all(reader, store):
    return dict(reader.iterate(store, b"", None))


def wait_until(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


def test_an_empty_store_has_no_height(store):
    assert (store.height, store.earliest_height, store.app_hash) == (0, 0, b"")
    assert store.latest().get("bank", b"a") is None
    for height in (-1, 0, 1):
        with pytest.raises(HeightNotAvailable):
            store.at(height)


def test_staging_changes_nothing_until_the_commit(store):
    commit(store, {"bank": {b"a": b"1"}})
    before = store.app_hash
    staged = store.stage(2, {"bank": {b"a": b"2", b"b": b"3"}})
    assert staged != before
    assert store.app_hash == before
    assert store.latest().get("bank", b"a") == b"1"
    assert store.latest().get("bank", b"b") is None
    store.commit()
    assert store.app_hash == staged
    assert store.latest().get("bank", b"b") == b"3"


def test_staging_again_replaces_and_does_not_leak(store):
    commit(store, {"bank": {b"%d" % index: b"1" for index in range(30)}})
    wanted = {"bank": {b"5": b"x", b"7": None, b"new": b"y"}}
    first = store.stage(2, wanted)
    store.stage(2, {"bank": {b"%d" % index: None for index in range(30)}, "ibc": {b"q": b"q"}})
    assert store.stage(2, wanted) == first
    store.commit()
    assert read_all(store.latest(), "ibc") == {}
    assert read_all(store.latest(), "bank") == read_all(store.at(2), "bank")
    assert len(read_all(store.latest(), "bank")) == 30


def test_a_wrong_height_cannot_be_staged(store):
    commit(store, {})
    for height in (0, 1, 3):
        with pytest.raises(AssertionError):
            store.stage(height, {})


def test_an_unknown_store_is_refused_everywhere(store):
    commit(store, {"bank": {b"a": b"1"}})
    commit(store, {})
    readers = [store.latest(), store.at(1), store.at(2)]
    for reader in readers:
        with pytest.raises(UnknownStore):
            reader.get("nope", b"a")
        with pytest.raises(UnknownStore):
            reader.iterate("nope", b"", None)
    with pytest.raises(UnknownStore):
        store.stage(3, {"nope": {b"a": b"1"}})
    with pytest.raises(UnknownStore):
        store.prove("nope", b"a", 2)


def test_an_empty_store_proves_nothing(store):
    commit(store, {"bank": {b"a": b"1"}})
    with pytest.raises(EmptyStoreHasNoProof):
        store.prove("ibc", b"a", 1)


def test_proofs_of_every_retained_height_lead_to_its_app_hash(store):
    hashes, models, model = {}, {}, {}
    for height in range(1, 9):
        writes = {b"k%d" % (index * height % 17): b"%d" % height for index in range(6)}
        writes[b"k%d" % height] = None
        model = {k: v for k, v in (model | writes).items() if v is not None}
        hashes[height] = commit(store, {"ibc": writes})
        models[height] = model
    for height in range(5, 9):
        for key in (*(b"k%d" % index for index in range(17)), b"", b"zzz"):
            value, encoded = store.prove("ibc", key, height)
            proofs = [ics23_codec.decode_proof(proof) for proof in encoded]
            assert value == models[height].get(key)
            path = (b"ibc", key)
            if value is None:
                ics23.verify_non_membership(ics23.SDK_SPECS, proofs, hashes[height], path)
            else:
                ics23.verify_membership(ics23.SDK_SPECS, proofs, hashes[height], path, value)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.binary(min_size=1, max_size=2), st.none() | st.binary(min_size=1)),
        min_size=1,
        max_size=8,
    ),
    st.binary(max_size=2),
    st.none() | st.binary(min_size=1, max_size=2),
    st.booleans(),
)
def test_every_retained_height_reads_like_a_dict(batches, start, end, reverse):
    store = open_commit_store(None, STORES, StoreOptions(node_cache_entries=8))
    models, model = {}, {}
    for batch in batches:
        commit(store, {"bank": batch})
        model = {k: v for k, v in (model | batch).items() if v is not None}
        models[store.height] = model
    readers = {height: store.at(height) for height in models}
    for height, expected in models.items():
        pairs = sorted((k, v) for k, v in expected.items() if k >= start and (not end or k < end))
        ordered = pairs[::-1] if reverse else pairs
        assert list(readers[height].iterate("bank", start, end, reverse=reverse)) == ordered
        assert all(readers[height].get("bank", key) == expected.get(key) for key in model)
    latest = store.latest().iterate("bank", start, end, reverse=reverse)
    assert list(latest) == list(readers[store.height].iterate("bank", start, end, reverse=reverse))
    assert dict(store.export("bank")) == model
    store.close()


def test_a_reader_at_the_latest_height_does_not_follow_commits(store):
    commit(store, {"bank": {b"a": b"1"}})
    reader = store.at(1)
    commit(store, {"bank": {b"a": b"2", b"b": b"3"}})
    assert read_all(reader, "bank") == {b"a": b"1"}
    assert reader.get("bank", b"b") is None


def test_pruning_leaves_exactly_the_nodes_of_retained_versions(store):
    dice = random.Random(5)
    for _ in range(20):
        writes = {b"%d" % dice.randrange(60): dice.choice([None, b"v", b"w"]) for _ in range(15)}
        commit(store, dict.fromkeys(STORES, writes))
    store.prune()
    wait_until(lambda: store.earliest_height == 17)
    store._pruner.close()
    store.prune()
    with pytest.raises(HeightNotAvailable):
        store.at(16)
    needed = {
        (name, node_key)
        for name in STORES
        for height in range(17, 21)
        for node_key, _, _ in store.iterate_nodes(name, height)
    }
    assert len(list(store._db.iterate(b"n", b"o"))) == len(needed)
    assert len(list(store._db.iterate(b"c", b"d"))) == 4


def test_a_pinned_height_is_kept(store):
    for _ in range(3):
        commit(store, {"bank": {b"a": b"%d" % store.height + b"x"}})
    store.pin(2)
    for _ in range(10):
        commit(store, {"bank": {b"a": b"%d" % store.height + b"x"}})
    store.prune()
    assert store.earliest_height == 2
    assert store.at(2).get("bank", b"a") == b"1x"
    store.unpin(2)
    store.prune()
    assert store.earliest_height == 10
    with pytest.raises(HeightNotAvailable):
        store.pin(9)


def test_a_reopened_store_continues_with_the_same_hashes(tmp_path):
    memory = open_commit_store(None, STORES)
    level = open_commit_store(tmp_path, STORES)
    for height in range(1, 12):
        writes = {"bank": {b"%d" % (height * index % 23): b"%d" % height for index in range(9)}}
        assert commit(memory, writes) == commit(level, writes)
        level.close()
        level = open_commit_store(tmp_path, STORES)
        assert (level.height, level.app_hash) == (memory.height, memory.app_hash)
    for height in range(1, 12):
        assert read_all(level.at(height), "bank") == read_all(memory.at(height), "bank")
    level.close()
    memory.close()


def test_genesis_in_slices_equals_genesis_at_once_where_keys_ascend(store):
    entries = [(b"%05d" % index, b"v%d" % index) for index in range(100)]
    whole = open_commit_store(None, STORES)
    at_once = whole.write_genesis(5, {"bank": dict(entries)})
    for start in range(0, 100, 10):
        sliced = store.write_genesis(5, {"bank": dict(entries[start : start + 10])})
    assert sliced == at_once
    assert store.height == 0
    assert store.latest().get("bank", b"00042") == b"v42"
    block = {"bank": {b"00042": b"changed", b"00001": None}, "ibc": {b"a": b"1"}}
    assert store.stage(5, block) == whole.stage(5, block)
    store.commit()
    assert (store.height, store.earliest_height) == (5, 5)
    assert len(list(store._db.iterate(b"n", b"o"))) == sum(
        1 for name in STORES for _ in store.iterate_nodes(name, 5)
    )
    whole.close()


def test_an_uncommitted_genesis_is_forgotten_on_reopening(tmp_path):
    store = open_commit_store(tmp_path, STORES)
    store.write_genesis(1, {"bank": {b"a": b"1"}})
    store.close()
    store = open_commit_store(tmp_path, STORES)
    assert store.latest().get("bank", b"a") is None
    assert list(store._db.iterate(b"", None)) == []
    store.close()


def test_a_second_process_is_told_that_the_folder_is_taken(tmp_path):
    store = open_commit_store(tmp_path, STORES)
    with pytest.raises(StoreNotOpen):
        open_commit_store(tmp_path, STORES)
    store.close()


def test_a_store_added_later_starts_empty(tmp_path):
    store = open_commit_store(tmp_path, STORES)
    commit(store, {"bank": {b"a": b"1"}})
    store.close()
    store = open_commit_store(tmp_path, (*STORES, "vault"))
    app_hash = commit(store, {"vault": {b"x": b"y"}})
    value, proofs = store.prove("vault", b"x", 2)
    decoded = [ics23_codec.decode_proof(proof) for proof in proofs]
    assert value is not None
    ics23.verify_membership(ics23.SDK_SPECS, decoded, app_hash, (b"vault", b"x"), value)
    with pytest.raises(UnknownStore):
        store.at(1).get("vault", b"x")
    store.close()


def test_readers_in_other_threads_never_see_an_older_value_cached(tmp_path):
    store = open_commit_store(tmp_path, STORES, StoreOptions(value_cache_entries=8))
    commit(store, {"bank": {b"%d" % index: b"0" for index in range(20)}})
    stopping = threading.Event()

    def read():
        while not stopping.is_set():
            for index in range(20):
                store.latest().get("bank", b"%d" % index)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for height in range(2, 40):
        commit(store, {"bank": {b"%d" % index: b"%d" % height for index in range(20)}})
        for index in range(20):
            assert store.latest().get("bank", b"%d" % index) == b"%d" % height
    stopping.set()
    for thread in threads:
        thread.join()
    store.close()


def test_a_cache_holds_at_most_its_capacity():
    cache = GenerationCache(100)
    parts = [cache.partition("a"), cache.partition("b")]
    for index in range(5000):
        parts[index % 2].put(b"%d" % index, index)
        assert sum(len(part.young) + len(part.old) for part in parts) <= 100
    kept = parts[1].young | parts[1].old
    assert kept[b"4999"] == 4999


def replay(heights):
    """The app hash of each height, computed anew in memory."""
    store = open_commit_store(None, store_writer.STORES, store_writer.OPTIONS)
    store.write_genesis(1, store_writer.make_genesis())
    hashes = [commit(store, store_writer.make_writes(height)) for height in range(1, heights + 1)]
    model = {name: read_all(store.latest(), name) for name in store_writer.STORES}
    store.close()
    return hashes, model


def test_killing_the_process_anywhere_leaves_the_last_committed_height(tmp_path):
    dice = random.Random(9)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.node.store_writer", str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(dice.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        printed = process.stdout.read().split("\n")
        process.wait()
        process.stdout.close()
        store = open_commit_store(tmp_path, store_writer.STORES, store_writer.OPTIONS)
        seen = [line.split() for line in printed if line.count(" ") == 1]
        if seen:
            assert store.height in (int(seen[-1][0]), int(seen[-1][0]) + 1)
        height, app_hash = store.height, store.app_hash
        reader = store.latest()
        content = {name: read_all(reader, name) for name in store_writer.STORES}
        trees = {name: dict(iavl.iterate(store.make_query_source(name, height), root))
                 for name, root in store.get_roots(height).items()}  # fmt: skip
        store.close()
        hashes, model = replay(height)
        assert app_hash == hashes[-1]
        assert content == model == trees


def take_snapshot(entries, chunk_bytes=None, monkeypatch=None):
    if chunk_bytes:
        monkeypatch.setattr("chain.node.snapshots.CHUNK_BYTES_AIM", chunk_bytes)
    store = open_commit_store(None, STORES, StoreOptions(keep_versions=3))
    for start in range(0, len(entries), 40):
        commit(store, {"bank": dict(entries[start : start + 40])})
    thread = store.take_snapshot()
    assert thread is not None
    thread.join()
    return store


def restore_into(target, source):
    (snapshot,) = source.list_snapshots()
    verdict = target.offer_snapshot(snapshot, source.app_hash)
    results = [
        target.apply_snapshot_chunk(
            index, source.load_snapshot_chunk(snapshot.height, snapshot.format, index), "peer"
        )
        for index in range(snapshot.chunks)
    ]
    return verdict, results


ENTRIES = [(b"key%04d" % (index * 7919 % 10007), b"value %d" % index) for index in range(300)]


def test_a_restored_snapshot_has_the_same_app_hash_and_future(store, monkeypatch):
    source = take_snapshot(ENTRIES, 3000, monkeypatch)
    assert source.list_snapshots()[0].chunks > 3
    verdict, results = restore_into(store, source)
    assert verdict == 1
    assert {result.verdict for result in results} == {1}
    assert (store.height, store.app_hash) == (source.height, source.app_hash)
    assert store.earliest_height == source.height
    assert read_all(store.latest(), "bank") == dict(ENTRIES)
    block = {"bank": dict.fromkeys(key for key, _ in ENTRIES[::3]), "ibc": {b"x": b"y"}}
    assert commit(store, block) == commit(source, block)
    assert read_all(store.at(store.height - 1), "bank") == dict(ENTRIES)
    source.close()


def test_a_folder_serves_its_snapshots_after_a_restart(tmp_path):
    options = StoreOptions(snapshot_interval=2, snapshots_kept=2)
    store = open_commit_store(tmp_path, STORES, options)
    for height in range(1, 9):
        commit(store, {"bank": {b"a%d" % height: b"1"}})
        if height % 2 == 0:
            wait_until(lambda height=height: store.list_snapshots()[:1]
                       and store.list_snapshots()[0].height == height
                       and not store._archive._thread.is_alive())  # fmt: skip
    listed = store.list_snapshots()
    assert [snapshot.height for snapshot in listed] == [8, 6]
    chunk = store.load_snapshot_chunk(8, 1, 0)
    store.close()
    (tmp_path / "snapshots" / "9.partial").mkdir()
    store = open_commit_store(tmp_path, STORES, options)
    assert store.list_snapshots() == listed
    assert store.load_snapshot_chunk(8, 1, 0) == chunk
    assert not (tmp_path / "snapshots" / "9.partial").exists()
    store.close()


def test_offers_are_judged(store):
    source = take_snapshot(ENTRIES[:40])
    (good,) = source.list_snapshots()
    app_hash = source.app_hash
    assert store.offer_snapshot(replace(good, format=2), app_hash) == 4
    for bad in (
        replace(good, hash=bytes(32)),
        replace(good, metadata=good.metadata + b"\x00"),
        replace(good, chunks=good.chunks + 1),
        replace(good, chunks=0),
        replace(good, height=0),
    ):
        assert store.offer_snapshot(bad, app_hash) == 3
    assert store.apply_snapshot_chunk(0, b"", "peer").verdict == 2
    assert source.offer_snapshot(good, app_hash) == 2
    assert store.offer_snapshot(good, app_hash) == 1
    source.close()


def test_a_wrong_chunk_names_its_sender_and_is_fetched_again(store, monkeypatch):
    source = take_snapshot(ENTRIES, 3000, monkeypatch)
    (snapshot,) = source.list_snapshots()
    store.offer_snapshot(snapshot, source.app_hash)
    chunk = source.load_snapshot_chunk(snapshot.height, 1, 0)
    for bad in (chunk[:-1], chunk + b"\x00", b"", bytes(10_000_001)):
        result = store.apply_snapshot_chunk(0, bad, "mallory")
        assert (result.verdict, result.refetch_chunks, result.reject_senders) == (
            3,
            (0,),
            ("mallory",),
        )
    assert store.apply_snapshot_chunk(1, chunk, "peer").refetch_chunks == (0,)
    assert store.apply_snapshot_chunk(0, chunk, "peer").verdict == 1
    assert store.height == 0
    source.close()


def test_a_consistent_snapshot_of_another_state_is_rejected_and_wiped(store):
    source = take_snapshot(ENTRIES)
    (snapshot,) = source.list_snapshots()
    assert store.offer_snapshot(snapshot, bytes(32)) == 1
    chunk = source.load_snapshot_chunk(snapshot.height, 1, 0)
    assert store.apply_snapshot_chunk(0, chunk, "peer").verdict == 5
    assert store.height == 0
    assert list(store._db.iterate(b"", None)) == []
    assert restore_into(store, source)[1][-1].verdict == 1
    source.close()
