"""The scenarios store: the only place that knows its keys."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from chain._pb.margin.scenarios.v1 import scenarios_pb2 as pb
from chain.modules.params.state import declare_params
from chain.modules.scenarios.errors import RampRunning
from chain.modules.scenarios.types import (
    UnderlyingRules,
    build_default_params,
    parse_underlying,
    parse_underlying_state,
    validate_params,
)
from chain.runtime.context import Context

STORE: Final = "scenarios"
PARAMS: Final = declare_params(STORE, pb.Params, build_default_params, validate_params)
_UNDERLYING: Final = b"\x01"


@lru_cache(maxsize=256)
def _parse(encoded: bytes) -> UnderlyingRules:
    return parse_underlying_state(pb.UnderlyingState.FromString(encoded))


def get_rules(ctx: Context, asset: str) -> UnderlyingRules | None:
    """The scenario rules of an asset; None when portfolio margin does not know it."""
    encoded = ctx.kv(STORE).get(_UNDERLYING + asset.encode())
    return _parse(encoded) if encoded else None


def get_underlying_state(ctx: Context, asset: str) -> pb.UnderlyingState | None:
    """An underlying's rules as they are stored."""
    encoded = ctx.kv(STORE).get(_UNDERLYING + asset.encode())
    return pb.UnderlyingState.FromString(encoded) if encoded else None


def set_underlying_state(ctx: Context, message: pb.UnderlyingState) -> None:
    """Store rules as they are; raises what parse_underlying_state raises."""
    parse_underlying_state(message)
    key = _UNDERLYING + message.current.asset.encode()
    ctx.kv(STORE).set(key, message.SerializeToString(deterministic=True))


def iterate_underlying_states(ctx: Context) -> Iterator[pb.UnderlyingState]:
    """All underlyings by asset."""
    for _, encoded in ctx.kv(STORE).iterate(_UNDERLYING):
        yield pb.UnderlyingState.FromString(encoded)


def change_underlying(ctx: Context, underlying: pb.Underlying) -> int:
    """List an underlying or change its set; the second at which it has full effect.

    For new risk it binds at once. What exists is asked for more in the course of the ramp only.
    Raises RampRunning while the last change ramps in, and what parse_underlying raises.
    """
    parse_underlying(underlying)
    before = get_underlying_state(ctx, underlying.asset)
    if before is not None and ctx.time_s < before.ramp_end_s:
        raise RampRunning(
            f"the last change of {underlying.asset} takes effect until {before.ramp_end_s}, it is "
            f"{ctx.time_s}; change it {before.ramp_end_s - ctx.time_s} s later"
        )
    end = ctx.time_s + PARAMS.get(ctx).ramp_s
    set_underlying_state(
        ctx,
        pb.UnderlyingState(
            current=underlying,
            previous=before.current if before is not None else None,
            ramp_start_s=ctx.time_s,
            ramp_end_s=end,
        ),
    )
    return end
