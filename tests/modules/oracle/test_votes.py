import pytest

from chain._pb.margin.oracle.v1 import oracle_pb2, query_pb2
from chain.modules.oracle import genesis, queries, state, votes
from chain.modules.oracle.types import EXTENSION_BYTES_MAX, SourcePrice
from chain.modules.oracle.votes import OracleVoteExtensions, decode_extension, encode_votes
from chain.runtime.context import Context
from chain.runtime.module import Vote
from chain.runtime.store import Branch, EmptyState
from chain.units import NANOSECONDS, PPM, WAD
from tests.modules.economy import advance, agree, build_economy, vote

RULES = OracleVoteExtensions()


@pytest.fixture
def ctx():
    context = build_economy()
    advance(context)
    return context


def say(ctx, *prices, power=10):
    """One validator a price: an int of USD, or the raw extension."""
    cast = []
    for index, price in enumerate(prices):
        extension = (
            price
            if isinstance(price, bytes)
            else encode_votes([vote("ETH", price * WAD, ctx.time_ns)])
        )
        cast.append(Vote(bytes([index]) * 20, power, extension))
    RULES.process_votes(ctx, cast)
    return state.get_price(ctx, "ETH").price_wad // WAD


def get_outcomes(ctx):
    answer = queries.query_votes(ctx, query_pb2.QueryVotesRequest())
    return [item.outcome for item in answer.last_votes.votes if item.asset == "ETH"]


def test_lower_median_of_the_power(ctx):
    assert say(ctx, 2_010, 2_000, 2_020, 2_030) == 2_010


def test_one_third_silent_is_fine_more_is_not(ctx):
    assert say(ctx, 2_010, 2_010, b"") == 2_010
    advance(ctx)
    assert say(ctx, 2_050, 2_050, b"", b"") == 2_010
    assert [event.type for event in ctx.events][-2:] == ["price_not_agreed"] * 2
    assert get_outcomes(ctx) == ["counted", "counted", "empty extension", "empty extension"]


def raw(price=b"\x01", count=2, time_ns=None, ctx=None, asset="ETH"):
    return oracle_pb2.VoteExtension(
        votes=[
            oracle_pb2.AssetVote(
                asset=asset,
                price_wad=price,
                source_count=count,
                confidence_ppm=PPM,
                time_ns=ctx.time_ns if time_ns is None else time_ns,
            )
        ]
    ).SerializeToString()


@pytest.mark.parametrize(
    ("build", "outcome"),
    [
        (lambda ctx: raw(b"", ctx=ctx), "price out of range"),
        (lambda ctx: raw(b"\x00" * 9, ctx=ctx), "price out of range"),
        (lambda ctx: raw(b"\x01" + b"\x00" * 16, ctx=ctx), "price out of range"),
        (lambda ctx: raw(b"\xff" * 4_000, ctx=ctx), "price out of range"),
        (lambda ctx: raw(b"\x01", ctx=ctx), "outlier"),
        (lambda ctx: raw(b"\xff" * 16, ctx=ctx), "outlier"),
        (lambda ctx: raw(b"\x01", count=1, ctx=ctx), "too few sources"),
        (lambda ctx: raw(time_ns=ctx.time_ns - 31 * NANOSECONDS), "stale"),
        (lambda _: raw(time_ns=-(2**63)), "stale"),
        (lambda _: raw(time_ns=2**63 - 1), "from the future"),
        (lambda ctx: raw(asset="DOGE", ctx=ctx), "no vote"),
        (lambda _: b"\xff\xff\xff", "undecodable extension"),
        (lambda _: b"", "empty extension"),
    ],
)
def test_absurd_vote_is_dropped_and_the_rest_counts(ctx, build, outcome):
    assert say(ctx, 2_010, 2_010, 2_010, build(ctx)) == 2_010
    assert get_outcomes(ctx)[3] == outcome


def test_second_vote_for_an_asset_is_ignored(ctx):
    double = encode_votes(
        [vote("ETH", 2_010 * WAD, ctx.time_ns), vote("ETH", 9_999 * WAD, ctx.time_ns)]
    )
    assert say(ctx, double, double, double, double) == 2_010


def test_step_is_bounded_and_the_raw_median_is_kept(ctx):
    assert say(ctx, 500, 500, 500, 500) == 1_000
    price = state.get_price(ctx, "ETH")
    assert price.step_bound_active
    assert price.raw_median_wad == 500 * WAD
    advance(ctx)
    assert say(ctx, 500, 500, 500, 500) == 500
    assert not state.get_price(ctx, "ETH").step_bound_active


def test_judges_size_and_decoding_only(ctx):
    assert RULES.is_acceptable(ctx, b"")
    assert RULES.is_acceptable(ctx, raw(b"\xff" * 100, ctx=ctx))
    assert not RULES.is_acceptable(ctx, b"\xff\xff\xff")
    assert not RULES.is_acceptable(ctx, b"\x0a\x05abc")
    wide = oracle_pb2.VoteExtension(
        votes=[oracle_pb2.AssetVote(price_wad=b"\x01" * EXTENSION_BYTES_MAX)]
    ).SerializeToString()
    assert not RULES.is_acceptable(ctx, wide)


class Feed:
    def __init__(self, prices):
        self.prices = prices

    def read(self):
        if isinstance(self.prices, Exception):
            raise self.prices
        return self.prices


def test_extend_vote_speaks_for_its_feed(ctx):
    prices = [
        SourcePrice("ETH", name, 2_000 * WAD + n, ctx.time_ns) for n, name in enumerate("abc")
    ]
    extension = OracleVoteExtensions(Feed(prices)).extend_vote(ctx)
    assert RULES.is_acceptable(ctx, extension)
    said = decode_extension(extension).votes
    assert [(v.asset, int.from_bytes(v.price_wad, "big")) for v in said] == [
        ("ETH", 2_000 * WAD + 1)
    ]


@pytest.mark.parametrize(
    "prices",
    [
        [],
        OSError("the feed is gone"),
        RuntimeError(),
        None,
        [SourcePrice("ETH", "a", -1, 0)],
        [("not", "a", "price")],
    ],
)
def test_dead_or_broken_feed_says_nothing(ctx, prices):
    assert OracleVoteExtensions(Feed(prices)).extend_vote(ctx) == b""


def test_node_without_a_feed_says_nothing(ctx):
    assert RULES.extend_vote(ctx) == b""


def test_broken_asset_does_not_stop_the_others(ctx, monkeypatch):
    original = votes.apply_votes

    def apply_votes(child, rules, asset, judged):
        if asset.asset == "ETH":
            raise ZeroDivisionError
        original(child, rules, asset, judged)

    monkeypatch.setattr(votes, "apply_votes", apply_votes)
    agree(ctx, ETH=2_100, USDC=1)
    assert state.get_price(ctx, "ETH").height == 1
    assert state.get_price(ctx, "USDC").height == 2
    assert [e.type for e in ctx.events if e.type == "oracle_asset_failed"]


def test_no_votes_at_all_change_nothing(ctx):
    RULES.process_votes(ctx, [])
    assert state.get_price(ctx, "ETH").height == 1


def test_genesis_round_trip(ctx):
    exported = genesis.export_genesis(ctx)
    fresh = Context("hub-1", 1, ctx.time_ns, Branch(EmptyState()))
    genesis.init_genesis(fresh, exported)
    assert genesis.export_genesis(fresh) == exported
