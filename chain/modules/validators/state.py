"""The store of validators: v/<address>, s/<height> the set that signs from a height on, e/<...>.

A changed validator leaves a mark u/<address>; take_updates turns the marks into updates for
CometBFT and the set that follows from them.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from chain._pb.margin.validators.v1 import validators_pb2
from chain.modules.params import state as params_state
from chain.modules.validators.types import (
    SETS_KEPT,
    UPDATE_DELAY,
    build_default_params,
    compute_validator_address,
    validate_params,
)
from chain.runtime.context import Context, Mode
from chain.runtime.definition import SetMember

STORE: Final = "validators"
VALIDATOR_PREFIX: Final = b"v"
EVIDENCE_PREFIX: Final = b"e"
_SET_PREFIX: Final = b"s"
_MARK_PREFIX: Final = b"u"
_PRESENT: Final = b"\x01"

PARAMS: Final = params_state.declare_params(
    STORE, validators_pb2.Params, build_default_params, validate_params
)


def get_validator(ctx: Context, address: bytes) -> validators_pb2.Validator | None:
    """The validator with a consensus address, for the caller to change and store; None if
    unknown.
    """
    data = ctx.kv(STORE).get(VALIDATOR_PREFIX + address)
    return None if data is None else validators_pb2.Validator.FromString(data)


def set_validator(ctx: Context, validator: validators_pb2.Validator) -> None:
    """Store a validator; its power reaches CometBFT with this block."""
    address = compute_validator_address(validator.consensus_pubkey)
    kv = ctx.kv(STORE)
    kv.set(VALIDATOR_PREFIX + address, validator.SerializeToString(deterministic=True))
    kv.set(_MARK_PREFIX + address, _PRESENT)


def get_validators(ctx: Context) -> Iterator[validators_pb2.Validator]:
    """All validators ever known, by address."""
    for _, data in ctx.kv(STORE).iterate(VALIDATOR_PREFIX):
        yield validators_pb2.Validator.FromString(data)


def get_total_power(ctx: Context) -> int:
    """The power of the whole set after the last change."""
    return sum(validator.power for validator in get_validators(ctx))


def take_updates(ctx: Context) -> list[tuple[bytes, int]]:
    """(key, power) of validators whose power in the coming set differs from the set before."""
    kv = ctx.kv(STORE)
    marks = [key[1:] for key, _ in kv.iterate(_MARK_PREFIX)]
    if not marks:
        return []
    for address in marks:
        kv.delete(_MARK_PREFIX + address)
    # A genesis set signs from the first block on.
    effective = ctx.height + (0 if ctx.mode is Mode.GENESIS else UPDATE_DELAY)
    before = {member.address: member.power for member in get_set(ctx, effective)}
    updates = []
    for address in marks:
        validator = get_validator(ctx, address)
        assert validator is not None, "marks are made with the validator"
        if validator.power != before.get(address, 0):
            updates.append((validator.consensus_pubkey, validator.power))
    if updates:
        members = [v for v in get_validators(ctx) if v.power]
        stored = validators_pb2.ValidatorSet(validators=members)
        kv.set(_compute_set_key(effective), stored.SerializeToString(deterministic=True))
        _prune_sets(ctx)
    return updates


def _compute_set_key(height: int) -> bytes:
    return _SET_PREFIX + height.to_bytes(8)


def _prune_sets(ctx: Context) -> None:
    """Forget sets that were replaced before the last heights kept."""
    kv = ctx.kv(STORE)
    floor = max(0, ctx.height - SETS_KEPT)
    old = [key for key, _ in kv.iterate_range(_SET_PREFIX, _compute_set_key(floor + 1))]
    for key in old[:-1]:  # The last of them still signs.
        kv.delete(key)


def get_set(ctx: Context, height: int) -> Sequence[SetMember]:
    """The members that sign block `height`, by address; empty when no set is known."""
    end = _compute_set_key(height + 1)
    for _, data in ctx.kv(STORE).iterate_range(_SET_PREFIX, end, reverse=True):
        return [
            SetMember(compute_validator_address(v.consensus_pubkey), v.consensus_pubkey, v.power)
            for v in validators_pb2.ValidatorSet.FromString(data).validators
        ]
    return []


def add_evidence(ctx: Context, record: validators_pb2.EvidenceRecord) -> bool:
    """Store evidence; False when the same was recorded before."""
    key = EVIDENCE_PREFIX + record.height.to_bytes(8) + record.address + bytes([record.kind])
    kv = ctx.kv(STORE)
    if kv.has(key):
        return False
    kv.set(key, record.SerializeToString(deterministic=True))
    return True


def get_evidence(ctx: Context) -> Iterator[validators_pb2.EvidenceRecord]:
    """All evidence by height of the offence."""
    for _, data in ctx.kv(STORE).iterate(EVIDENCE_PREFIX):
        yield validators_pb2.EvidenceRecord.FromString(data)
