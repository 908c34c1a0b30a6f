import pytest

from chain._pb.margin.markets.v1 import markets_pb2, tx_pb2
from chain.errors import ChainError
from chain.modules.accounts import genesis as accounts_genesis
from chain.modules.accounts import state as accounts
from chain.modules.bank import state as bank
from chain.modules.council import state as council
from chain.modules.markets import genesis, handlers, state
from chain.modules.markets.errors import InvalidMarket
from chain.units import WAD, InvalidAmount
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
from tests.modules.instruments import (
    CALL,
    ETH_DENOM,
    EXPIRY_S,
    SPOT,
    WINDOW_S,
    advance_to,
    build_instruments,
    build_option,
    deposit_base,
    trade,
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


def export_instruments():
    """Base, options, half a settlement window: (accounts' part, markets' part, context)."""
    ctx = build_instruments()
    deposit_base(ctx, ALICE, 3 * WAD)
    trade(ctx, ALICE, CALL, SELL, ETHER, 20_000)
    trade(ctx, BOB, CALL, BUY, ETHER, 20_000)
    advance_to(ctx, EXPIRY_S - WINDOW_S // 2, ETH=2_000)
    return accounts_genesis.export_genesis(ctx), genesis.export_genesis(ctx), ctx


def start_from(ctx, accounts_part, markets_part, *, base=3 * WAD):
    """A fresh chain from exported parts, with the coins that must be behind them."""
    fresh = build_economy()
    for store in ("accounts", "markets", "bank"):
        fresh.store.net_writes()[store].clear()
    cash = bank.get_balance(ctx, accounts.MODULE_ADDRESS, "uusd")
    bank.mint(fresh, accounts.MODULE_ADDRESS, "uusd", cash)
    if base:
        bank.mint(fresh, state.MODULE_ADDRESS, ETH_DENOM, base)
    fresh.time_ns = ctx.time_ns
    accounts_genesis.init_genesis(fresh, accounts_part)
    genesis.init_genesis(fresh, markets_part)
    return fresh


def test_instruments_go_through_a_genesis_file():
    accounts_part, markets_part, ctx = export_instruments()
    fresh = start_from(ctx, accounts_part, markets_part)
    assert genesis.export_genesis(fresh) == markets_part
    kept = {k: v for k, v in ctx.store.net_writes()["markets"].items() if v is not None}
    assert fresh.store.net_writes()["markets"] == kept
    holders = [account_id.owner for account_id in state.iterate_holders(fresh, CALL)]
    assert holders == sorted([ALICE, BOB])


@pytest.mark.parametrize("base", [0, 3 * WAD - 1, 3 * WAD + 1])
def test_base_in_a_genesis_file_has_its_coins(base):
    accounts_part, markets_part, ctx = export_instruments()
    with pytest.raises(InvalidMarket, match="correct the bank balance"):
        start_from(ctx, accounts_part, markets_part, base=base)


@pytest.mark.parametrize(
    ("field", "value"), [("size_quantums", str(-3 * WAD)), ("cost_uusd", "1"), ("market", "NONE")]
)
def test_a_bad_base_position_in_the_genesis_file(field, value):
    accounts_part, markets_part, ctx = export_instruments()
    for account in accounts_part.accounts:
        for position in account.positions:
            if position.market == SPOT:
                setattr(position, field, value)
                # The cash identity is not what this breaks.
                cost = int(position.cost_uusd or "0")
                account.cash_uusd = str(int(account.cash_uusd) + cost)
    with pytest.raises(ChainError):
        start_from(ctx, accounts_part, markets_part)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("asset", "USDC"),
        ("expiry_time_s", EXPIRY_S + 60),
        ("expiry_time_s", -60),
        ("weighted_sum", "-1"),
        ("weighted_sum", "1.5"),
        ("price_wad", "x"),
        ("sampled_ns", -1),
        ("sampled_ns", 86_400 * 10**9 + 1),
        ("sample_time_ns", -1),
    ],
)
def test_a_bad_settlement_in_the_genesis_file(field, value):
    accounts_part, markets_part, ctx = export_instruments()
    setattr(markets_part.settlements[0], field, value)
    with pytest.raises(ChainError):
        start_from(ctx, accounts_part, markets_part)


def test_two_markets_of_one_option_in_the_genesis_file():
    accounts_part, markets_part, ctx = export_instruments()
    markets_part.markets.append(build_option("ETH-TWIN"))
    with pytest.raises(InvalidMarket, match="same terms"):
        start_from(ctx, accounts_part, markets_part)


@pytest.mark.parametrize(
    ("field", "value"), [("settled_per_block_max", 0), ("settled_per_block_max", 5_001)]
)
def test_bad_parameters(ctx, field, value):
    params = markets_pb2.Params()
    params.CopyFrom(state.get_params(ctx))
    setattr(params, field, value)
    msg = tx_pb2.MsgUpdateParams(authority=council.get_authority(ctx), params=params)
    with pytest.raises(InvalidMarket, match=field):
        deliver(ctx, handlers.handle_update_params, msg)
