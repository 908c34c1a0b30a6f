import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.merkle import iavl, ics23, ics23_codec

KEYS = st.binary(min_size=1, max_size=3)
VALUES = st.binary(min_size=1, max_size=4)
BATCH = st.dictionaries(KEYS, st.none() | VALUES, max_size=25)


class Versions:
    """A persisted tree beside the dicts it must equal, one a version."""

    def __init__(self):
        self.nodes = {}
        self.roots = [None]
        self.models = [{}]
        self.orphans = []

    def advance(self, batch):
        version = len(self.roots)
        tree = iavl.WorkingTree(self.nodes.__getitem__, self.roots[-1], version)
        tree.apply(sorted(batch.items()))
        saved = tree.save()
        for node_key, node, record in saved.nodes:
            assert iavl.decode_node(record) == node
            assert iavl.encode_node(node) == record
            assert node_key not in self.nodes
            self.nodes[node_key] = node
        self.orphans.append(saved.orphans)
        self.roots.append(saved.root)
        model = self.models[-1] | batch
        self.models.append({key: value for key, value in model.items() if value is not None})
        return saved


def check_shape(versions, root):
    """Every node's hash, height, size and key recomputed from its children."""
    stack = []
    for node_key, height, node in iavl.iterate_post_order(versions.nodes.__getitem__, root):
        version = iavl.get_node_version(node_key)
        if len(node) == 2:
            stack.append((0, 1, iavl.hash_leaf(*node, version), node[0], node_key))
            continue
        right, left = stack.pop(), stack.pop()
        assert abs(left[0] - right[0]) <= 1
        assert node[:2] == (left[0], right[0])
        assert node[2] == left[1] + right[1]
        assert node[3:7] == (left[4], right[4], left[2], right[2])
        assert node[7] == right[3]
        digest = iavl.hash_inner(height, node[2], version, left[2], right[2])
        stack.append((height, node[2], digest, left[3], node_key))
    if root is None:
        assert stack == []
    else:
        ((height, _, digest, _, node_key),) = stack
        assert root == iavl.Root(node_key, height, digest)


@settings(max_examples=60, deadline=None)
@given(st.lists(BATCH, max_size=8))
def test_every_version_equals_a_dict(batches):
    versions = Versions()
    for batch in batches:
        versions.advance(batch)
    source = versions.nodes.__getitem__
    for root, model in zip(versions.roots, versions.models, strict=True):
        assert list(iavl.iterate(source, root)) == sorted(model.items())
        assert list(iavl.iterate(source, root, reverse=True)) == sorted(model.items(), reverse=True)
        check_shape(versions, root)
        for key in [*model, b"\x00\x00", b"absent"]:
            assert iavl.get(source, root, key) == model.get(key)


@settings(max_examples=40, deadline=None)
@given(BATCH, KEYS, st.none() | KEYS, st.booleans())
def test_a_range_equals_a_dict(batch, start, end, reverse):
    versions = Versions()
    root = versions.advance(batch).root
    expected = sorted(
        (k, v) for k, v in versions.models[1].items() if k >= start and (end is None or k < end)
    )
    pairs = iavl.iterate(versions.nodes.__getitem__, root, start, end, reverse=reverse)
    assert list(pairs) == (expected[::-1] if reverse else expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(BATCH, min_size=1, max_size=4), st.lists(KEYS, min_size=1, max_size=8))
def test_every_proof_verifies_and_shows_nothing_else(batches, asked):
    versions = Versions()
    for batch in batches:
        saved = versions.advance(batch)
    model = versions.models[-1]
    if saved.root is None:
        return
    for key in asked:
        made = iavl.prove(versions.nodes.__getitem__, saved.root, key)
        proof = ics23_codec.decode_proof(ics23_codec.encode_proof(made))
        if key in model:
            ics23.verify_key(ics23.IAVL_SPEC, saved.root_hash, proof, key, model[key])
            with pytest.raises(ics23.InvalidProof):
                ics23.verify_key(ics23.IAVL_SPEC, saved.root_hash, proof, key, model[key] + b"x")
            with pytest.raises(ics23.InvalidProof):
                ics23.verify_key_absent(ics23.IAVL_SPEC, saved.root_hash, proof, key)
        else:
            ics23.verify_key_absent(ics23.IAVL_SPEC, saved.root_hash, proof, key)
            for present in model:
                with pytest.raises(ics23.InvalidProof):
                    ics23.verify_key_absent(ics23.IAVL_SPEC, saved.root_hash, proof, present)


@settings(max_examples=40, deadline=None)
@given(st.lists(BATCH, max_size=8))
def test_orphans_are_exactly_the_nodes_a_version_drops(batches):
    versions = Versions()
    for batch in batches:
        versions.advance(batch)
    source = versions.nodes.__getitem__
    before = set()
    for root, orphans in zip(versions.roots[1:], versions.orphans, strict=True):
        now = {node_key for node_key, _, _ in iavl.iterate_post_order(source, root)}
        assert len(orphans) == len(set(orphans))
        assert before - now == set(orphans)
        before = now


@settings(max_examples=150, deadline=None)
@given(st.lists(BATCH, min_size=1, max_size=6))
def test_overwriting_on_one_way_down_changes_nothing(batches):
    versions = Versions()
    for batch in batches:
        version = len(versions.roots)
        root, model = versions.roots[-1], versions.models[-1]
        together = iavl.WorkingTree(versions.nodes.__getitem__, root, version)
        together.apply(sorted(batch.items()), model.__contains__)
        saved = together.save()
        expected = versions.advance(batch)
        assert saved.root_hash == expected.root_hash
        assert len(saved.nodes) == len(expected.nodes)
        assert set(saved.orphans) == set(expected.orphans)


def test_an_overwrite_of_an_absent_key_is_a_fault():
    versions = Versions()
    root = versions.advance({b"a": b"1"}).root
    tree = iavl.WorkingTree(versions.nodes.__getitem__, root, 2)
    tree.apply([(b"b", b"2")], lambda _: True)
    with pytest.raises(AssertionError):
        tree.save()


def test_the_empty_root_is_the_hash_of_nothing():
    versions = Versions()
    assert versions.advance({}).root_hash == iavl.EMPTY_ROOT_HASH
    versions.advance({b"a": b"1"})
    assert versions.advance({b"a": None}).root_hash == iavl.EMPTY_ROOT_HASH


def test_a_dropped_working_tree_leaves_no_trace():
    versions = Versions()
    batch = {b"%d" % i: b"v" for i in range(50)}
    root = versions.advance(batch).root
    before = dict(versions.nodes)
    for _ in range(2):
        tree = iavl.WorkingTree(versions.nodes.__getitem__, root, 2)
        tree.apply(sorted({b"%d" % i: None for i in range(0, 50, 3)}.items()))
        hashes = {tree.save().root_hash}
    assert versions.nodes == before
    assert hashes == {versions.advance({b"%d" % i: None for i in range(0, 50, 3)}).root_hash}


def test_removing_an_absent_key_keeps_the_root():
    versions = Versions()
    first = versions.advance({b"a": b"1", b"c": b"2"})
    assert versions.advance({b"b": None}).root == first.root


def test_overwriting_with_the_same_value_makes_a_new_version():
    versions = Versions()
    first = versions.advance({b"a": b"1"})
    assert versions.advance({b"a": b"1"}).root_hash != first.root_hash


@pytest.mark.parametrize("record", [b"", b"\xff", b"\xff\x00", b"\x00" * 98, b"\x01" * 20])
def test_a_damaged_record_is_refused(record):
    with pytest.raises(iavl.NodeRecordMalformed):
        iavl.decode_node(record)
