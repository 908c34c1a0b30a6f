"""The validator set in the genesis."""

from chain._pb.margin.validators.v1 import validators_pb2
from chain.modules.validators import state
from chain.modules.validators.handlers import validate_set
from chain.modules.validators.types import (
    build_default_params,
    compute_validator_address,
    validate_validator,
)
from chain.runtime.context import Context
from chain.runtime.errors import InvalidGenesis


def build_default_genesis() -> validators_pb2.GenesisState:
    """Default parameters and no validators: `init` adds the first."""
    return validators_pb2.GenesisState(params=build_default_params())


def init_genesis(ctx: Context, genesis: validators_pb2.GenesisState) -> None:
    """Store the set; raises InvalidGenesis on a key that stands twice, SetBoundary on an empty
    set.
    """
    state.PARAMS.set(ctx, genesis.params)
    for index, validator in enumerate(genesis.validators):
        validate_validator(
            validator.consensus_pubkey, validator.power, validator.moniker, validator.operator
        )
        address = compute_validator_address(validator.consensus_pubkey)
        if state.get_validator(ctx, address) is not None:
            raise InvalidGenesis(f"app_state.validators.validators[{index}]: key stands twice")
        state.set_validator(ctx, validator)
    for record in genesis.evidence:
        state.add_evidence(ctx, record)
    validate_set(ctx)


def export_genesis(ctx: Context) -> validators_pb2.GenesisState:
    """All validators and evidence."""
    return validators_pb2.GenesisState(
        params=state.PARAMS.get(ctx),
        validators=state.get_validators(ctx),
        evidence=state.get_evidence(ctx),
    )
