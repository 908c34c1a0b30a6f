import pytest

from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import query_pb2 as pb
from chain.modules.markets import queries
from chain.modules.oracle import state as oracle
from chain.units import NANOSECONDS, WAD
from tests.modules.economy import ALICE, BOB, BUY, ETHER, MARKET, SELL, build_economy
from tests.modules.instruments import (
    CALL,
    EXPIRY_S,
    FUTURE,
    PUT,
    SPOT,
    WINDOW_S,
    advance_to,
    build_future,
    build_instruments,
    build_option,
    list_market,
    trade,
)


@pytest.fixture
def ctx():
    return build_instruments()


def query_markets(ctx, **request):
    return queries.query_markets(ctx, pb.QueryMarketsRequest(**request))


def query_settlements(ctx, **request):
    return queries.query_settlements(ctx, pb.QuerySettlementsRequest(**request)).settlements


def test_markets_show_their_kind_and_what_it_needs(ctx):
    shown = {market.id: market for market in query_markets(ctx).markets}
    assert list(shown) == [CALL, FUTURE, PUT, SPOT, MARKET]
    assert shown[CALL].kind == markets_pb2.INSTRUMENT_KIND_OPTION
    assert shown[CALL].strike_wad == str(2_000 * WAD)
    assert shown[PUT].option_kind == markets_pb2.OPTION_KIND_PUT
    assert (shown[FUTURE].expiry_time_s, shown[FUTURE].settlement_window_s) == (EXPIRY_S, WINDOW_S)
    assert shown[SPOT].denom == "aeth"


def test_states_and_marks_stand_in_the_order_of_the_markets(ctx):
    trade(ctx, ALICE, CALL, SELL, ETHER, 20_000)
    trade(ctx, BOB, CALL, BUY, ETHER, 15_000)
    answer = query_markets(ctx)
    ids = [market.id for market in answer.markets]
    assert [market_state.market for market_state in answer.states] == ids
    assert [mark.market for mark in answer.marks] == ids
    assert answer.states[0].best_ask_wad == str(200 * WAD)
    assert answer.states[0].best_bid_wad == str(150 * WAD)
    call, future, _, spot, perpetual = answer.marks
    assert call.forward_wad == future.forward_wad == str(2_000 * WAD)
    assert call.forward_fixed_wad == "0"
    assert int(call.volatility_wad) == oracle.get_volatility_wad(ctx, "ETH")
    assert 0 < int(call.mark_wad) < 2_000 * WAD
    assert call.time_to_expiry_s == 30 * 86_400
    for mark in (spot, perpetual):
        assert mark.mark_wad == mark.spot_wad == str(2_000 * WAD)
        assert (mark.forward_wad, mark.volatility_wad, mark.is_final) == ("", "", False)


def test_markets_of_one_kind_or_asset(ctx):
    list_market(ctx, build_option("USDC-CALL", 1, asset="USDC", strike_wad=str(WAD)))
    options = query_markets(ctx, kind=markets_pb2.INSTRUMENT_KIND_OPTION)
    assert [market.id for market in options.markets] == [CALL, PUT, "USDC-CALL"]
    assert len(options.states) == len(options.marks) == 3
    both = query_markets(ctx, kind=markets_pb2.INSTRUMENT_KIND_OPTION, asset="USDC")
    assert [market.id for market in both.markets] == ["USDC-CALL"]
    assert not query_markets(ctx, asset="DOGE").markets


def test_a_market_without_a_price_has_an_empty_mark():
    ctx = build_economy()
    del ctx.store.net_writes()["oracle"][b"\x01ETH"]
    (mark,) = query_markets(ctx).marks
    assert mark == pb.MarketMark(market=MARKET)


def test_settlements_tell_how_far_each_expiry_is(ctx):
    list_market(ctx, build_future(id="LATER", expiry_time_s=EXPIRY_S + 86_400))
    list_market(ctx, build_future(id="USDC-F", asset="USDC"))
    shown = query_settlements(ctx)
    assert [(s.asset, s.expiry_time_s - EXPIRY_S, s.markets) for s in shown] == [
        ("ETH", 0, 3),
        ("USDC", 0, 1),
        ("ETH", 86_400, 1),
    ]
    first = query_settlements(ctx, asset="ETH")[0]
    assert first.window_start_time_ns == (EXPIRY_S - WINDOW_S) * NANOSECONDS
    assert (first.window_ns, first.sampled_ns) == (WINDOW_S * NANOSECONDS, 0)
    assert (first.average_wad, first.price_wad) == ("", "")
    advance_to(ctx, EXPIRY_S - WINDOW_S + 60, ETH=2_050)
    first = query_settlements(ctx, asset="ETH")[0]
    assert first.sampled_ns == 60 * NANOSECONDS
    assert (first.average_wad, first.price_wad) == (str(2_050 * WAD), "")
    params = markets_pb2.Params()
    params.CopyFrom(queries.query_params(ctx, pb.QueryParamsRequest()).params)
    params.settled_per_block_max = 1
    queries.state.set_params(ctx, params)
    advance_to(ctx, EXPIRY_S, ETH=2_050)
    first = query_settlements(ctx, asset="ETH")[0]
    assert (first.price_wad, first.markets) == (str(2_050 * WAD), 2)
    marks = {mark.market: mark for mark in query_markets(ctx).marks}
    assert marks[PUT].is_final
    assert marks[PUT].mark_wad == "0"
