"""The runtime's own store: consensus parameters and the time of the last block."""

from typing import Any, Final

from chain._pb.tendermint.types import params_pb2
from chain.runtime.context import Context

STORE: Final = "consensus"
_PARAMS: Final = b"params"
_TIME: Final = b"time"
_CHAIN_ID: Final = b"chain_id"


def get_params(ctx: Context) -> Any:
    """The tendermint.types.ConsensusParams in force (empty before genesis)."""
    return params_pb2.ConsensusParams.FromString(ctx.kv(STORE).get(_PARAMS) or b"")


def set_params(ctx: Context, params: Any) -> None:
    """Store the parameters CometBFT was started with."""
    data = params.SerializeToString(deterministic=True)
    if data:
        ctx.kv(STORE).set(_PARAMS, data)


def get_block_time_ns(ctx: Context) -> int:
    """The time of the last executed block; 0 before genesis."""
    return int.from_bytes(ctx.kv(STORE).get(_TIME) or b"")


def set_block_time_ns(ctx: Context, time_ns: int) -> None:
    """Store the time of the block being executed."""
    ctx.kv(STORE).set(_TIME, time_ns.to_bytes(8))


def get_chain_id(ctx: Context) -> str:
    """The chain id of the genesis; "" before."""
    return (ctx.kv(STORE).get(_CHAIN_ID) or b"").decode()


def set_chain_id(ctx: Context, chain_id: str) -> None:
    """Store the chain id of the genesis."""
    ctx.kv(STORE).set(_CHAIN_ID, chain_id.encode())


def is_vote_extension_due(params: Any, height: int) -> bool:
    """Whether block `height` must open with the extended commit of the height before."""
    enabled_from = params.abci.vote_extensions_enable_height
    return bool(enabled_from) and height > enabled_from
