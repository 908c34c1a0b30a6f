"""Changes of the validator set: by the council, and by evidence."""

from chain._pb.margin.validators.v1 import validators_pb2
from chain.modules.council import state as council
from chain.modules.validators import state
from chain.modules.validators.errors import SetBoundary, Tombstoned
from chain.modules.validators.types import (
    TOTAL_POWER_MAX,
    compute_validator_address,
    validate_validator,
)
from chain.runtime.context import Context
from chain.runtime.definition import Misbehavior


def handle_update_validator(
    ctx: Context, msg: validators_pb2.MsgUpdateValidator
) -> validators_pb2.MsgUpdateValidatorResponse:
    """Add, change or remove (power 0) a validator.

    Raises NotAuthority, InvalidValidator, Tombstoned, SetBoundary.
    """
    council.require_authority(ctx, msg.authority)
    validate_validator(msg.consensus_pubkey, msg.power, msg.moniker, msg.operator)
    address = compute_validator_address(msg.consensus_pubkey)
    known = state.get_validator(ctx, address)
    if known is not None and known.tombstoned and msg.power:
        raise Tombstoned(f"{address.hex()} voted twice; use a new key")
    validator = validators_pb2.Validator(
        consensus_pubkey=msg.consensus_pubkey,
        power=msg.power,
        moniker=msg.moniker,
        operator=msg.operator,
        tombstoned=known is not None and known.tombstoned,
    )
    state.set_validator(ctx, validator)
    validate_set(ctx)
    ctx.emit("update_validator", {"address": address.hex(), "power": msg.power})
    return validators_pb2.MsgUpdateValidatorResponse()


def validate_set(ctx: Context) -> None:
    """Raises SetBoundary unless the set has a member, not too many, and a total CometBFT bears."""
    powers = [v.power for v in state.get_validators(ctx) if v.power]
    limit = state.PARAMS.get(ctx).validators_max
    if not 1 <= len(powers) <= limit:
        raise SetBoundary(f"the set would have {len(powers)} validators; allowed are 1 to {limit}")
    if sum(powers) > TOTAL_POWER_MAX:
        raise SetBoundary(f"total power {sum(powers)} would be above {TOTAL_POWER_MAX}")


def handle_misbehavior(ctx: Context, misbehavior: Misbehavior) -> None:
    """Record evidence once, take the offender's power and bar its key for good.

    The last validator keeps its power, recorded all the same: a set without power halts the chain.
    """
    record = validators_pb2.EvidenceRecord(
        address=misbehavior.address,
        kind=validators_pb2.EvidenceKind.Name(misbehavior.kind),  # The numbers are ABCI's own.
        height=misbehavior.height,
        time_ns=misbehavior.time_ns,
        power=misbehavior.power,
        recorded_at_height=ctx.height,
    )
    if not state.add_evidence(ctx, record):
        return
    validator = state.get_validator(ctx, misbehavior.address)
    if validator is None or validator.tombstoned:
        return
    others = state.get_total_power(ctx) - validator.power
    validator.tombstoned = True
    if others:
        validator.power = 0
    state.set_validator(ctx, validator)
    ctx.emit("tombstone", {"address": misbehavior.address.hex(), "height": misbehavior.height})
