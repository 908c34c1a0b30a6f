import pytest

from chain._pb.margin.markets.v1 import markets_pb2, tx_pb2
from chain.errors import ChainError
from chain.modules.council import state as council
from chain.modules.markets import genesis, handlers, state
from chain.modules.markets.errors import InvalidMarket
from chain.units import InvalidAmount
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETHER,
    MARKET,
    SELL,
    build_economy,
    build_market,
    deliver,
    deposit,
    place,
)


@pytest.fixture
def ctx():
    return build_economy()


BAD_MARKETS = [
    ({"id": "eth-usd"}, InvalidMarket),
    ({"id": ""}, InvalidMarket),
    ({"id": "A" * 33}, InvalidMarket),
    ({"id": "A\x00B"}, InvalidMarket),
    ({"asset": "DOGE"}, InvalidMarket),
    ({"status": 0}, InvalidMarket),
    ({"status": 9}, InvalidMarket),
    ({"quantum_decimals": 19}, InvalidMarket),
    ({"tick_wad": "0"}, InvalidAmount),
    ({"tick_wad": "1"}, InvalidMarket),
    ({"step_quantums": "-1"}, InvalidAmount),
    ({"step_quantums": "1"}, InvalidMarket),
    ({"maintenance_ppm": 0}, InvalidMarket),
    ({"initial_ppm": 62_499}, InvalidMarket),
    ({"initial_ppm": 1_000_001}, InvalidMarket),
    ({"horizon_s": 0}, InvalidMarket),
    ({"volatility_floor_wad": str(10**21)}, InvalidMarket),
    ({"open_interest_max_uusd": str(10**31)}, InvalidMarket),
    ({"open_interest_lower_uusd": "5", "open_interest_upper_uusd": "4"}, InvalidMarket),
    ({"taker_fee_ppm": 50_001}, InvalidMarket),
    ({"price_band_ppm": 0}, InvalidMarket),
    ({"price_band_ppm": 500_001}, InvalidMarket),
]


@pytest.mark.parametrize(("changes", "error"), BAD_MARKETS)
def test_bad_market_is_not_listed(ctx, changes, error):
    authority = council.get_authority(ctx)
    market = build_market(**{"id": "ETH2-USD", **changes})
    msg = tx_pb2.MsgListMarket(authority=authority, market=market)
    before = dict(ctx.store.net_writes()["markets"])
    with pytest.raises(error) as caught:
        deliver(ctx, handlers.handle_list_market, msg)
    assert caught.value.detail
    assert ctx.store.net_writes()["markets"] == before
    msg.market.CopyFrom(build_market(id="ETH2-USD"))
    deliver(ctx, handlers.handle_list_market, msg)
    with pytest.raises(InvalidMarket):
        deliver(ctx, handlers.handle_list_market, msg)


def test_only_the_council_lists_and_changes(ctx):
    for handler, msg in (
        (handlers.handle_list_market, tx_pb2.MsgListMarket(authority=ALICE)),
        (handlers.handle_update_market, tx_pb2.MsgUpdateMarket(authority=ALICE)),
        (handlers.handle_update_params, tx_pb2.MsgUpdateParams(authority=ALICE)),
    ):
        with pytest.raises(ChainError):
            deliver(ctx, handler, msg)


def test_update_keeps_what_positions_are_counted_in(ctx):
    authority = council.get_authority(ctx)
    msg = tx_pb2.MsgUpdateMarket(authority=authority, market=build_market(initial_ppm=200_000))
    deliver(ctx, handlers.handle_update_market, msg)
    assert state.require_market(ctx, MARKET).initial_ppm == 200_000
    msg.market.tick_wad = str(10**17)
    with pytest.raises(InvalidMarket, match="for good"):
        deliver(ctx, handlers.handle_update_market, msg)


def test_number_of_markets_is_bounded(ctx):
    authority = council.get_authority(ctx)
    params = markets_pb2.Params()
    params.CopyFrom(state.get_params(ctx))
    params.markets_max = 1
    deliver(
        ctx,
        handlers.handle_update_params,
        tx_pb2.MsgUpdateParams(authority=authority, params=params),
    )
    with pytest.raises(InvalidMarket):
        deliver(
            ctx,
            handlers.handle_list_market,
            tx_pb2.MsgListMarket(authority=authority, market=build_market(id="ETH2-USD")),
        )


def test_export_import_export_is_identical(ctx):
    for owner in (ALICE, BOB):
        deposit(ctx, owner, 10_000)
    place(ctx, ALICE, SELL, 2 * ETHER, 200_000)
    place(ctx, BOB, BUY, ETHER, 200_000)
    place(ctx, BOB, BUY, ETHER, 199_000)
    exported = genesis.export_genesis(ctx)
    fresh = build_economy()
    fresh.store.net_writes()["markets"].clear()
    genesis.init_genesis(fresh, exported)
    again = genesis.export_genesis(fresh)
    assert again.SerializeToString(deterministic=True) == exported.SerializeToString(
        deterministic=True
    )
    assert fresh.store.net_writes()["markets"] == {
        key: value for key, value in ctx.store.net_writes()["markets"].items() if value is not None
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("side", 0),
        ("number", 128),
        ("id", 99),
        ("price_wad", "1"),
        ("size_quantums", "1"),
        ("remaining_quantums", str(3 * ETHER)),
        ("owner", "x"),
        ("market", "BTC-USD"),
    ],
)
def test_bad_order_in_the_genesis_file(ctx, field, value):
    deposit(ctx, ALICE, 10_000)
    place(ctx, ALICE, SELL, 2 * ETHER, 200_000)
    exported = genesis.export_genesis(ctx)
    setattr(exported.orders[0], field, value)
    fresh = build_economy()
    fresh.store.net_writes()["markets"].clear()
    with pytest.raises(ChainError):
        genesis.init_genesis(fresh, exported)
