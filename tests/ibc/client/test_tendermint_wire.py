"""Protobuf to light client types: what is read means one thing, what is not readable is refused."""

from collections.abc import Callable

import pytest

from chain._pb.tendermint.types import types_pb2, validator_pb2
from chain.errors import ChainError
from chain.ibc.client.tendermint_wire import (
    commit_from_pb,
    header_from_pb,
    signed_header_from_pb,
    signed_header_to_pb,
    time_ns_from_pb,
    time_ns_to_pb,
    validator_set_from_pb,
    validator_set_to_pb,
)
from chain.lightclient.errors import MalformedLightBlock, UnsupportedKeyType
from chain.lightclient.types import TIME_MAX_NS, TIME_MIN_NS, VALIDATOR_COUNT_MAX
from tests.support.headers import TestValidatorSet, build_block

VALIDATORS = TestValidatorSet.create([4, 3, 2, 1])
BLOCK = build_block(7, VALIDATORS, absent=[3], nil=[2])


def get_valid_signed_header() -> types_pb2.SignedHeader:
    return signed_header_to_pb(BLOCK.signed_header)


def get_valid_set() -> validator_pb2.ValidatorSet:
    return validator_set_to_pb(VALIDATORS.validators)


def test_round_trip_over_the_wire() -> None:
    wire = get_valid_signed_header().SerializeToString()
    assert signed_header_from_pb(types_pb2.SignedHeader.FromString(wire)) == BLOCK.signed_header
    wire = get_valid_set().SerializeToString()
    read = validator_set_from_pb(validator_pb2.ValidatorSet.FromString(wire))
    assert read == VALIDATORS.validators
    assert read.total_power == 10


@pytest.mark.parametrize("part", ["header", "commit"])
def test_missing_part_is_refused(part: str) -> None:
    message = get_valid_signed_header()
    message.ClearField(part)
    with pytest.raises(MalformedLightBlock):
        signed_header_from_pb(message)


def test_unset_times_are_the_zero_time() -> None:
    message = get_valid_signed_header()
    message.header.ClearField("time")
    message.commit.signatures[0].ClearField("timestamp")
    assert header_from_pb(message.header).time_ns == TIME_MIN_NS
    assert commit_from_pb(message.commit).signatures[0].timestamp_ns == TIME_MIN_NS


@pytest.mark.parametrize("time_ns", [TIME_MIN_NS, -1, 0, TIME_MAX_NS])
def test_times_within_protobufs_range(time_ns: int) -> None:
    assert time_ns_from_pb(time_ns_to_pb(time_ns)) == time_ns


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(0, -1), (0, 10**9), (-62_135_596_801, 0), (253_402_300_800, 0), (1 << 62, 0)],
)
def test_times_out_of_range_are_refused(seconds: int, nanos: int) -> None:
    message = get_valid_signed_header()
    message.header.time.seconds, message.header.time.nanos = seconds, nanos
    with pytest.raises(MalformedLightBlock):
        signed_header_from_pb(message)
    message = get_valid_signed_header()
    message.commit.signatures[0].timestamp.seconds = seconds
    message.commit.signatures[0].timestamp.nanos = nanos
    with pytest.raises(MalformedLightBlock):
        signed_header_from_pb(message)


def test_too_many_slots_are_refused() -> None:
    message = get_valid_signed_header()
    sig = message.commit.signatures[0]
    message.commit.signatures.extend([sig] * VALIDATOR_COUNT_MAX)
    with pytest.raises(MalformedLightBlock):
        signed_header_from_pb(message)


BAD_SETS: list[tuple[Callable[[validator_pb2.ValidatorSet], object], type[ChainError]]] = [
    (lambda s: s.ClearField("validators"), MalformedLightBlock),
    (lambda s: s.ClearField("proposer"), MalformedLightBlock),
    (lambda s: s.validators.extend([s.validators[0]] * VALIDATOR_COUNT_MAX), MalformedLightBlock),
    (lambda s: s.validators.__delitem__(0), MalformedLightBlock),
    (lambda s: setattr(s.validators[1], "address", bytes(20)), MalformedLightBlock),
    (lambda s: setattr(s.proposer, "address", bytes(20)), MalformedLightBlock),
    (lambda s: s.validators[1].ClearField("pub_key"), UnsupportedKeyType),
    (lambda s: setattr(s.validators[1].pub_key, "secp256k1", bytes(33)), UnsupportedKeyType),
]


@pytest.mark.parametrize(("change", "error"), BAD_SETS)
def test_unreadable_set_is_refused(
    change: Callable[[validator_pb2.ValidatorSet], object], error: type[ChainError]
) -> None:
    message = get_valid_set()
    change(message)
    with pytest.raises(error):
        validator_set_from_pb(message)


def test_total_power_on_the_wire_is_ignored() -> None:
    message = get_valid_set()
    message.total_voting_power = 1
    assert validator_set_from_pb(message).total_power == 10
