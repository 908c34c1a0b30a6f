"""The council's store: r/<id> proposals, o/<id> the open or passed ones, n the next id."""

from collections.abc import Iterator
from typing import Any, Final

from chain._pb.margin.council.v1 import council_pb2
from chain.modules.council.errors import NotAuthority, UnknownProposal
from chain.modules.council.types import authority_address, build_default_params, validate_params
from chain.modules.params import state as params_state
from chain.runtime.context import Context
from chain.units import Address

STORE: Final = "council"
PROPOSAL_PREFIX: Final = b"r"
_LIVE_PREFIX: Final = b"o"
_NEXT_ID: Final = b"n"
_PRESENT: Final = b"\x01"
_LIVE: Final = (council_pb2.PROPOSAL_STATUS_OPEN, council_pb2.PROPOSAL_STATUS_PASSED)

PARAMS: Final = params_state.declare_params(
    STORE, council_pb2.Params, build_default_params, validate_params
)


def get_authority(ctx: Context) -> Address:
    """The address that must sign what only the council may do."""
    del ctx
    return authority_address()


def require_authority(ctx: Context, signer: str) -> None:
    """Raises NotAuthority unless the signer is the council's authority."""
    authority = get_authority(ctx)
    if signer != authority:
        raise NotAuthority(f"{signer} is not {authority}; submit a council proposal")


def is_guardian(ctx: Context, address: str) -> bool:
    """Whether the address is the guardian's, who may stop things but start none."""
    guardian = PARAMS.get(ctx).guardian
    return bool(guardian) and guardian == address


def get_proposal(ctx: Context, proposal_id: int) -> council_pb2.Proposal:
    """The proposal, for the caller to change and store; raises UnknownProposal."""
    data = ctx.kv(STORE).get(PROPOSAL_PREFIX + proposal_id.to_bytes(8))
    if data is None:
        raise UnknownProposal(f"there is no proposal {proposal_id}")
    return council_pb2.Proposal.FromString(data)


def set_proposal(ctx: Context, proposal: Any) -> None:
    """Store a proposal and keep the index of live ones."""
    kv = ctx.kv(STORE)
    suffix = proposal.id.to_bytes(8)
    kv.set(PROPOSAL_PREFIX + suffix, proposal.SerializeToString(deterministic=True))
    if proposal.status in _LIVE:
        kv.set(_LIVE_PREFIX + suffix, _PRESENT)
    else:
        kv.delete(_LIVE_PREFIX + suffix)


def get_live_ids(ctx: Context) -> list[int]:
    """The numbers of proposals that are open or passed, ascending."""
    return [int.from_bytes(key[1:]) for key, _ in ctx.kv(STORE).iterate(_LIVE_PREFIX)]


def get_proposals(ctx: Context) -> Iterator[council_pb2.Proposal]:
    """All proposals by number."""
    for _, data in ctx.kv(STORE).iterate(PROPOSAL_PREFIX):
        yield council_pb2.Proposal.FromString(data)


def get_next_id(ctx: Context) -> int:
    """The number of the next proposal."""
    return int.from_bytes(ctx.kv(STORE).get(_NEXT_ID) or b"\x01")


def set_next_id(ctx: Context, proposal_id: int) -> None:
    """Set the number of the next proposal."""
    ctx.kv(STORE).set(_NEXT_ID, proposal_id.to_bytes(8))
