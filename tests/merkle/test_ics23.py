import pytest

from chain.errors import ChainError
from chain.merkle import iavl, ics23, ics23_codec, simple

KEYS = [b"k%02d" % index for index in range(0, 40, 2)]


def build():
    nodes = {}
    tree = iavl.WorkingTree(nodes.__getitem__, None, 7)
    tree.apply([(key, b"value of " + key) for key in KEYS])
    saved = tree.save()
    nodes.update((node_key, node) for node_key, node, _ in saved.nodes)
    return nodes.__getitem__, saved.root


SOURCE, ROOT = build()
STORES = {"bank": bytes(32), "ibc": ROOT.hash, "zoo": bytes(32)}
APP_HASH = simple.compute_app_hash(STORES)


def prove(key):
    return [iavl.prove(SOURCE, ROOT, key), simple.prove_store(STORES, "ibc")]


def test_membership_through_two_trees():
    ics23.verify_membership(
        ics23.SDK_SPECS, prove(b"k04"), APP_HASH, (b"ibc", b"k04"), b"value of k04"
    )


@pytest.mark.parametrize("key", [b"a", b"k01", b"k05", b"k99"])
def test_non_membership_through_two_trees(key):
    ics23.verify_non_membership(ics23.SDK_SPECS, prove(key), APP_HASH, (b"ibc", key))


@pytest.mark.parametrize(
    "change",
    [
        {"root": bytes(32)},
        {"root": b""},
        {"path": (b"bank", b"k04")},
        {"path": (b"ibc", b"k06")},
        {"path": (b"k04",)},
        {"value": b"value of k06"},
        {"value": b""},
        {"proofs": prove(b"k04")[:1]},
        {"proofs": prove(b"k04")[::-1]},
        {"proofs": [prove(b"k05")[0], prove(b"k04")[1]]},
        {"proofs": [ics23.BatchProof((prove(b"k04")[0],)), prove(b"k04")[1]]},
        {"specs": (ics23.TENDERMINT_SPEC, ics23.IAVL_SPEC)},
        {"specs": ics23.SDK_SPECS[:1]},
        {"specs": ()},
    ],
)
def test_membership_with_one_thing_broken(change):
    arguments = {
        "specs": ics23.SDK_SPECS,
        "proofs": prove(b"k04"),
        "root": APP_HASH,
        "path": (b"ibc", b"k04"),
        "value": b"value of k04",
    } | change
    with pytest.raises(ics23.InvalidProof):
        ics23.verify_membership(**arguments)


@pytest.mark.parametrize(
    "change",
    [
        {"root": bytes(32)},
        {"path": (b"ibc", b"k04")},
        {"path": (b"ibc", b"k07")},
        {"path": (b"zoo", b"k05")},
        {"proofs": prove(b"k04")},
        {"proofs": prove(b"k07")},
    ],
)
def test_non_membership_with_one_thing_broken(change):
    arguments = {
        "specs": ics23.SDK_SPECS,
        "proofs": prove(b"k05"),
        "root": APP_HASH,
        "path": (b"ibc", b"k05"),
    } | change
    with pytest.raises(ics23.InvalidProof):
        ics23.verify_non_membership(**arguments)


def test_a_proof_without_one_neighbour_needs_the_edge():
    middle = prove(b"k05")[0]
    for broken in (middle._replace(left=None), middle._replace(right=None)):
        with pytest.raises(ics23.InvalidProof):
            ics23.verify_non_existence(broken, ics23.IAVL_SPEC, ROOT.hash, b"k05")
    nobody = middle._replace(left=None, right=None)
    with pytest.raises(ics23.InvalidProof):
        ics23.verify_non_existence(nobody, ics23.IAVL_SPEC, ROOT.hash, b"k05")


def test_neighbours_must_be_adjacent():
    far = ics23.NonExistenceProof(b"k05", prove(b"k02")[0], prove(b"k06")[0])
    with pytest.raises(ics23.InvalidProof, match="adjacent"):
        ics23.verify_non_existence(far, ics23.IAVL_SPEC, ROOT.hash, b"k05")


def test_one_proof_as_both_neighbours_is_refused():
    same = prove(b"k04")[0]
    twice = ics23.NonExistenceProof(b"k05", same, same)
    with pytest.raises(ics23.InvalidProof):
        ics23.verify_non_existence(twice, ics23.IAVL_SPEC, ROOT.hash, b"k05")


@pytest.mark.parametrize(
    "inner",
    [
        {"max_prefix_length": 37},
        {"max_prefix_length": 3},
        {"min_prefix_length": -1},
        {"child_size": 0},
        {"child_order": ()},
        {"child_order": (0, 0)},
        {"child_order": (1, 2)},
    ],
)
def test_an_ambiguous_spec_is_refused(inner):
    ics23.validate_spec(ics23.IAVL_SPEC)
    with pytest.raises(ics23.InvalidProofSpec):
        ics23.validate_spec(ics23.IAVL_SPEC._replace(inner=ics23.IAVL_SPEC.inner._replace(**inner)))


def test_depth_bounds_are_kept():
    proof = prove(b"k04")[0]
    steps = len(proof.path)
    for spec in (
        ics23.IAVL_SPEC._replace(min_depth=steps + 1),
        ics23.IAVL_SPEC._replace(max_depth=steps - 1),
    ):
        with pytest.raises(ics23.InvalidProof, match="inner steps"):
            ics23.verify_existence(proof, spec, ROOT.hash, b"k04", b"value of k04")
    exact = ics23.IAVL_SPEC._replace(min_depth=steps, max_depth=steps)
    ics23.verify_existence(proof, exact, ROOT.hash, b"k04", b"value of k04")


def test_a_batch_shows_each_of_its_keys():
    batch = ics23.BatchProof((prove(b"k04")[0], prove(b"k05")[0]))
    ics23.verify_key(ics23.IAVL_SPEC, ROOT.hash, batch, b"k04", b"value of k04")
    ics23.verify_key_absent(ics23.IAVL_SPEC, ROOT.hash, batch, b"k05")
    with pytest.raises(ics23.InvalidProof):
        ics23.verify_key(ics23.IAVL_SPEC, ROOT.hash, batch, b"k06", b"value of k06")


ENCODED = ics23_codec.encode_proof(prove(b"k04")[0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ENCODED + b"\x00",
        ENCODED[:-1],
        ENCODED + b"\x28\x01",  # An unknown field.
        ENCODED + b"\x12\x00",  # A second member of the oneof.
        ENCODED * 2,
        b"\x0a\x80" + ENCODED[1:],  # An over-long length.
        b"\x0a" * (ics23_codec.PROOF_BYTES_MAX + 1),
    ],
)
def test_bytes_that_are_not_one_canonical_proof_are_refused(data):
    with pytest.raises(ics23.MalformedProof):
        ics23_codec.decode_proof(data)


def decode_and_verify(data):
    proof = ics23_codec.decode_proof(data)
    ics23.verify_key(ics23.IAVL_SPEC, ROOT.hash, proof, b"k04", b"value of k04")


def test_every_single_byte_change_is_refused():
    for at in range(len(ENCODED)):
        data = ENCODED[:at] + bytes([ENCODED[at] ^ 1]) + ENCODED[at + 1 :]
        with pytest.raises(ChainError):
            decode_and_verify(data)


def test_specs_survive_their_message():
    for spec in (ics23.IAVL_SPEC, ics23.TENDERMINT_SPEC, ics23.SMT_SPEC):
        assert ics23_codec.spec_from_message(ics23_codec.spec_to_message(spec)) == spec


@pytest.mark.parametrize(
    ("key", "side", "edge", "within"),
    [(b"a", "right", KEYS[0], KEYS[1]), (b"z", "left", KEYS[-1], KEYS[-2])],
)
def test_an_absence_beyond_an_edge_needs_the_edge_key(key, side, edge, within):
    """Below the first and above the last key one neighbour is enough, and only the outermost."""
    nobody = ics23.NonExistenceProof(key, None, None)
    good = nobody._replace(**{side: prove(edge)[0]})
    ics23.verify_non_existence(good, ics23.IAVL_SPEC, ROOT.hash, key)
    other = {"left": "right", "right": "left"}[side]
    for bad in (
        nobody._replace(**{side: prove(within)[0]}),
        nobody._replace(**{other: prove(edge)[0]}),
        good._replace(**{other: prove(within)[0]}),
        good._replace(key=edge),
    ):
        with pytest.raises(ics23.InvalidProof):
            ics23.verify_non_existence(bad, ics23.IAVL_SPEC, ROOT.hash, bad.key)
