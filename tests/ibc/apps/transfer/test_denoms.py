import hashlib

import pytest

from chain.ibc.apps.transfer.denoms import (
    Denom,
    Hop,
    compute_escrow_address,
    parse_hash,
    parse_path,
    validate_denom,
)
from chain.ibc.apps.transfer.errors import InvalidDenom
from chain.runtime.address import decode_address


@pytest.mark.parametrize(
    ("path", "base", "hops"),
    [
        ("uatom", "uatom", 0),
        ("", "", 0),
        ("gamm/pool/1", "gamm/pool/1", 0),
        ("transfer/channel-0", "transfer/channel-0", 0),
        ("transfer/channel-0/uatom", "uatom", 1),
        ("transfer/channel-0/", "", 1),
        ("transfer/channel-0/gamm/pool/1", "gamm/pool/1", 1),
        ("transfer/channel-0/wasm/channel-7/x", "x", 2),
        ("transfer/07-tendermint-3/x", "x", 1),
        ("transfer/channel-18446744073709551616/x", "x", 1),
        ("transfer/channel-x/uatom", "transfer/channel-x/uatom", 0),
    ],
)
def test_a_path_splits_into_hops_and_base(path, base, hops):
    denom = parse_path(path)
    assert (denom.base, len(denom.trace)) == (base, hops)
    assert denom.path == path


def test_a_hop_is_added_in_front_and_taken_off_there():
    denom = parse_path("transfer/channel-3/uatom").with_hop("transfer", "channel-9")
    assert denom.path == "transfer/channel-9/transfer/channel-3/uatom"
    assert denom.has_first_hop("transfer", "channel-9")
    assert not denom.has_first_hop("transfer", "channel-3")
    assert not Denom("uatom").has_first_hop("transfer", "channel-9")
    assert denom.without_hop().without_hop() == Denom("uatom")


def test_a_voucher_is_named_by_the_hash_of_its_path():
    denom = Denom("uatom", (Hop("transfer", "channel-0"),))
    expected = hashlib.sha256(b"transfer/channel-0/uatom").hexdigest().upper()
    assert denom.local_denom == f"ibc/{expected}"
    assert parse_hash(denom.local_denom) == denom.hash == parse_hash(expected.lower())
    assert Denom("uatom").local_denom == "uatom"
    assert Denom.from_proto(denom.to_proto()) == denom


@pytest.mark.parametrize("text", ["", "ibc/", "ibc/12", "uatom", "ibc/" + "g" * 64, "a" * 65])
def test_other_texts_are_no_hash(text):
    assert parse_hash(text) is None


@pytest.mark.parametrize(
    "denom",
    [
        Denom(""),
        Denom(" \t\u2003"),
        Denom("x", (Hop("a", "channel-0"),)),
        Denom("x", (Hop("transfer", "c"),)),
    ],
)
def test_blank_bases_and_malformed_hops_are_refused(denom):
    with pytest.raises(InvalidDenom):
        validate_denom(denom)


def test_an_escrow_address_is_of_version_port_and_channel():
    digest = hashlib.sha256(b"ics20-1\x00transfer/channel-0").digest()
    assert decode_address(compute_escrow_address("transfer", "channel-0")) == digest[:20]
