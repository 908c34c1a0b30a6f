"""Row 45 where feeds fail: outages, gaps, disputes."""

import pytest

from chain.modules.oracle import state
from chain.modules.oracle.aggregation import compute_vote
from chain.modules.oracle.errors import PriceNotUsable
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action, SourcePrice
from chain.modules.oracle.votes import OracleVoteExtensions, encode_votes
from chain.risk.volatility import compute_ewma_variance_wad, compute_log_return
from chain.runtime.module import Vote
from chain.units import NANOSECONDS, PPM, WAD
from tests.modules.economy import advance, build_economy, vote


@pytest.fixture
def ctx():
    return build_economy()


def say(ctx, *prices, age_s=0, power=10):
    """One validator a price in USD, spoken by its feed some seconds ago."""
    cast = [
        Vote(
            bytes([index]) * 20,
            power,
            encode_votes([vote("ETH", price * WAD, ctx.time_ns - age_s * NANOSECONDS)]),
        )
        for index, price in enumerate(prices)
    ]
    OracleVoteExtensions().process_votes(ctx, cast)


def test_after_an_outage_nobody_is_liquidated_on_the_old_price(ctx):
    advance(ctx, 3_600)
    with pytest.raises(PriceNotUsable, match="liquidate needs at most 60 s"):
        require_price(ctx, "ETH", Action.LIQUIDATE)
    assert require_price(ctx, "ETH", Action.REDUCE).price_wad == 2_000 * WAD
    say(ctx, 1_500, 1_500, 1_500, 1_500)
    assert require_price(ctx, "ETH", Action.LIQUIDATE).price_wad == 1_500 * WAD


def test_feed_that_repeats_its_old_price_after_an_outage_does_not_make_it_new(ctx):
    advance(ctx, 3_600)
    say(ctx, 1_900, 1_900, 1_900, 1_900, age_s=61)
    assert state.get_price(ctx, "ETH").height == 1
    with pytest.raises(PriceNotUsable):
        require_price(ctx, "ETH", Action.LIQUIDATE)


def test_ewma_across_a_gap_counts_the_move_once_over_its_whole_length(ctx):
    before = state.get_volatility_record(ctx, "ETH")
    advance(ctx, 10 * 3_600)
    say(ctx, 1_800, 1_800, 1_800, 1_800)
    after = state.get_volatility_record(ctx, "ETH")
    move = compute_log_return(2_000 * WAD, 1_800 * WAD, PPM)
    assert after.base_ewma_variance_wad == compute_ewma_variance_wad(
        before.base_ewma_variance_wad, move, 36_000, 940_000
    )
    assert after.sample_time_ns == ctx.time_ns


def test_halves_that_conflict_give_no_price(ctx):
    advance(ctx)
    say(ctx, 1_500, 1_500, 2_500, 2_500)
    assert state.get_price(ctx, "ETH").height == 1
    assert ctx.events[0].type == "price_not_agreed"


def test_exactly_two_thirds_of_the_power_is_enough(ctx):
    advance(ctx)
    say(ctx, 2_010, 2_010, 9_999)
    assert state.get_price(ctx, "ETH").raw_median_wad == 2_010 * WAD


def test_confidence_is_the_agreement_of_the_sources(ctx):
    rules = state.get_rules(ctx)
    asset = rules.get_asset("ETH")
    sources = [
        SourcePrice("ETH", name, price * WAD, ctx.time_ns)
        for name, price in (("a", 2_000), ("b", 1_950), ("c", 2_050))
    ]
    said = compute_vote(asset, rules.source_age_s_max, sources, ctx.time_ns)
    assert (said.price_wad, said.source_count) == (2_000 * WAD, 3)
    assert said.confidence_ppm == 950_000


def test_vote_carries_the_median_depth_of_the_sources_that_say_it(ctx):
    rules = state.get_rules(ctx)
    asset = rules.get_asset("ETH")
    sources = [
        SourcePrice("ETH", name, 2_000 * WAD, ctx.time_ns, depth, volume)
        for name, depth, volume in (("a", 5, None), ("b", 9, 70), ("c", None, None))
    ]
    said = compute_vote(asset, rules.source_age_s_max, sources, ctx.time_ns)
    assert (said.depth_usd, said.volume_usd) == (5, 70)


def test_source_count_is_that_of_the_agreed_price(ctx):
    assert state.get_source_count(ctx, "ETH") == 3
    assert state.get_source_count(ctx, "DOGE") == 0
