"""The oracle's use of vote extensions: this node's own vote, and all votes as a price (row 45)."""

from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from chain._pb.margin.oracle.v1 import oracle_pb2 as pb
from chain.modules.oracle import state
from chain.modules.oracle.aggregation import (
    WeightedPrice,
    compute_first_volatility,
    compute_lower_median,
    compute_next_volatility,
    compute_step,
    compute_vote,
    compute_weighted_lower_median,
    is_near,
    is_price,
)
from chain.modules.oracle.model_ramp import advance_ramp
from chain.modules.oracle.params import USD_MAX
from chain.modules.oracle.types import (
    EXTENSION_BYTES_MAX,
    PRICE_LIMIT,
    AssetRules,
    OracleRules,
    Price,
    PriceSource,
)
from chain.modules.oracle.types import Vote as AssetVote
from chain.runtime.context import Context
from chain.runtime.isolation import isolate_item
from chain.runtime.module import Vote
from chain.units import NANOSECONDS, PPM

COUNTED = "counted"
OUTCOMES_KEPT = 512
"""Vote outcomes kept of a block, for queries."""


class CastVote(NamedTuple):
    """One validator's decoded vote for an asset, or why it has none (`outcome`)."""

    validator: Vote
    vote: AssetVote | None
    outcome: str


def encode_votes(votes: Sequence[AssetVote]) -> bytes:
    """The vote extension of these votes; empty for none."""
    message = pb.VoteExtension(
        votes=[
            pb.AssetVote(
                asset=vote.asset,
                price_wad=vote.price_wad.to_bytes((vote.price_wad.bit_length() + 7) // 8, "big"),
                source_count=vote.source_count,
                confidence_ppm=vote.confidence_ppm,
                time_ns=vote.time_ns,
                depth_usd=vote.depth_usd,
                volume_usd=vote.volume_usd,
            )
            for vote in votes
        ]
    )
    return message.SerializeToString(deterministic=True)


def decode_extension(extension: bytes) -> pb.VoteExtension | None:
    """The decoded extension, or None when it is too large or not a VoteExtension."""
    if len(extension) > EXTENSION_BYTES_MAX:
        return None
    try:
        return pb.VoteExtension.FromString(extension)
    except DecodeError:
        return None


def _find_vote(extension: pb.VoteExtension | None, asset: str) -> AssetVote | None:
    """The extension's first vote for the asset; a second one for the same asset is ignored."""
    if extension is None:
        return None
    for vote in extension.votes:
        if vote.asset == asset:
            # A price wider than its bound need not be read as a number to be refused.
            is_narrow = len(vote.price_wad) <= 17
            price = int.from_bytes(vote.price_wad, "big") if is_narrow else PRICE_LIMIT
            return AssetVote(
                asset,
                price,
                vote.source_count,
                min(PPM, vote.confidence_ppm),
                vote.time_ns,
                min(USD_MAX, vote.depth_usd),
                min(USD_MAX, vote.volume_usd),
            )
    return None


def judge_votes(
    rules: OracleRules,
    asset: AssetRules,
    votes: Sequence[tuple[Vote, pb.VoteExtension | None]],
    now_ns: int,
) -> list[CastVote]:
    """Each validator's vote for the asset and whether it counts."""
    judged: list[CastVote] = []
    for validator, extension in votes:
        vote = _find_vote(extension, asset.asset)
        if not validator.extension:
            outcome = "empty extension"
        elif extension is None:
            outcome = "undecodable extension"
        elif vote is None:
            outcome = "no vote"
        elif not is_price(vote.price_wad):
            outcome = "price out of range"
        elif vote.source_count < asset.sources_min:
            outcome = "too few sources"
        elif now_ns - vote.time_ns > rules.source_age_s_max * NANOSECONDS:
            outcome = "stale"
        elif vote.time_ns - now_ns > 60 * NANOSECONDS:
            outcome = "from the future"
        else:
            outcome = COUNTED
        judged.append(CastVote(validator, vote, outcome))
    counted = _weigh(judged)
    if not counted:
        return judged
    median = compute_weighted_lower_median(counted)
    return [
        cast._replace(outcome="outlier")
        if cast.outcome == COUNTED
        and cast.vote is not None
        and not is_near(cast.vote.price_wad, median, asset.outlier_ppm)
        else cast
        for cast in judged
    ]


def _weigh(judged: Sequence[CastVote]) -> list[WeightedPrice]:
    return [
        WeightedPrice(cast.vote.price_wad, cast.validator.address, cast.validator.power)
        for cast in judged
        if cast.outcome == COUNTED and cast.vote is not None
    ]


def apply_votes(
    ctx: Context, rules: OracleRules, asset: AssetRules, judged: Sequence[CastVote]
) -> None:
    """Publish the asset's price and volatility when two thirds of all power agree on one."""
    total = sum(cast.validator.power for cast in judged)
    counted = _weigh(judged)
    power = sum(price.power for price in counted)
    if not counted or 3 * power < 2 * total:
        ctx.emit("price_not_agreed", {"asset": asset.asset, "power": power, "total_power": total})
        return
    median = compute_weighted_lower_median(counted)
    kept = [c.vote for c in judged if c.outcome == COUNTED and c.vote is not None]
    previous = state.get_price(ctx, asset.asset)
    price_wad, is_bound = (
        compute_step(previous.price_wad, median, asset.step_ppm_max)
        if previous is not None
        else (median, False)
    )
    price = Price(
        asset=asset.asset,
        price_wad=price_wad,
        raw_median_wad=median,
        time_ns=min(ctx.time_ns, compute_lower_median([vote.time_ns for vote in kept])),
        height=ctx.height,
        confidence_ppm=compute_lower_median([vote.confidence_ppm for vote in kept]),
        source_count=compute_lower_median([vote.source_count for vote in kept]),
        step_bound_active=is_bound,
    )
    state.set_price(ctx, price)
    record = state.get_volatility_record(ctx, asset.asset)
    if record is None:
        record = compute_first_volatility(asset, median, ctx.time_ns)
    else:
        record = compute_next_volatility(record, rules, asset, median, ctx.time_ns)
    state.set_volatility_record(ctx, asset.asset, record)
    advance_ramp(ctx, asset.asset, median)
    _apply_depth(ctx, asset.asset, judged)
    if previous is None or previous.price_wad != price_wad:
        ctx.emit(
            "price_updated",
            {
                "asset": asset.asset,
                "price_wad": price_wad,
                "raw_median_wad": median,
                "volatility_wad": record.volatility_wad,
                "step_bound_active": str(is_bound).lower(),
            },
        )


def _apply_depth(ctx: Context, asset: str, judged: Sequence[CastVote]) -> None:
    """Keep the stake-weighted lower medians of depth and volume, each of those who said one."""
    said = [c for c in judged if c.outcome == COUNTED and c.vote is not None]
    depths = [
        WeightedPrice(c.vote.depth_usd, c.validator.address, c.validator.power)
        for c in said
        if c.vote is not None and c.vote.depth_usd
    ]
    volumes = [
        WeightedPrice(c.vote.volume_usd, c.validator.address, c.validator.power)
        for c in said
        if c.vote is not None and c.vote.volume_usd
    ]
    total = sum(cast.validator.power for cast in judged)
    # Two thirds of the power must have said both, as for the price.
    if min(3 * sum(item.power for item in items) for items in (depths, volumes)) < 2 * total:
        return
    state.set_depth_record(
        ctx,
        pb.Depth(
            asset=asset,
            depth_usd=compute_weighted_lower_median(depths),
            volume_usd=compute_weighted_lower_median(volumes),
            time_ns=ctx.time_ns,
        ),
    )


class OracleVoteExtensions:
    """The hub's vote-extension rules; `source` is this node's feed, None for a node without one."""

    def __init__(self, source: PriceSource | None = None) -> None:
        self._source = source

    def extend_vote(self, ctx: Context) -> bytes:
        """The node's own votes; empty when the feed is dead, slow to agree or broken."""
        if self._source is None:
            return b""
        try:
            sources = self._source.read()
            rules = state.get_rules(ctx)
            votes = [
                compute_vote(asset, rules.source_age_s_max, sources, ctx.time_ns)
                for asset in rules.assets
            ]
            return encode_votes([vote for vote in votes if vote is not None])
        except Exception:  # noqa: BLE001 - a broken feed must cost this vote only, never the node
            return b""

    def is_acceptable(self, ctx: Context, extension: bytes) -> bool:
        """Whether the extension is small enough and decodes; prices are never judged here."""
        del ctx
        return decode_extension(extension) is not None

    def process_votes(self, ctx: Context, votes: Sequence[Vote]) -> None:
        """Turn the previous height's votes into prices, asset by asset, each isolated."""
        rules = state.get_rules(ctx)
        decoded = [(vote, decode_extension(vote.extension)) for vote in votes]
        outcomes: list[pb.VoteOutcome] = []
        for asset in rules.assets:
            with isolate_item(ctx, "oracle_asset_failed", {"asset": asset.asset}) as child:
                judged = judge_votes(rules, asset, decoded, ctx.time_ns)
                apply_votes(child, rules, asset, judged)
                outcomes.extend(
                    pb.VoteOutcome(
                        validator=cast.validator.address.hex().upper(),
                        asset=asset.asset,
                        price_wad=str(cast.vote.price_wad) if cast.vote else "",
                        power=cast.validator.power,
                        outcome=cast.outcome,
                        source_count=cast.vote.source_count if cast.vote else 0,
                        confidence_ppm=cast.vote.confidence_ppm if cast.vote else 0,
                        time_ns=cast.vote.time_ns if cast.vote else 0,
                    )
                    for cast in judged
                )
        if outcomes:
            kept = outcomes[:OUTCOMES_KEPT]
            state.set_last_votes(ctx, pb.LastVotes(votes=kept, height=ctx.height))
