"""Markets of other kinds than perpetuals on the small economy, and orders for any of them."""

from chain._pb.margin.markets.v1 import markets_pb2, tx_pb2
from chain.modules.accounts import hooks as accounts_hooks
from chain.modules.accounts import state as accounts
from chain.modules.bank import state as bank
from chain.modules.council import state as council
from chain.modules.markets import handlers, hooks
from chain.modules.markets import state as markets
from chain.units import NANOSECONDS, WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    GOOD,
    START_NS,
    advance,
    assert_cash_backed,
    build_economy,
    build_market,
    deliver,
    deposit,
)

START_S = START_NS // NANOSECONDS
EXPIRY_S = START_S + 30 * 86_400
WINDOW_S = 1_800
CALL, PUT, FUTURE, SPOT = "ETH-CALL", "ETH-PUT", "ETH-FUTURE", "ETH-SPOT"
ETH_DENOM = "aeth"


def collect_sizes(ctx, market):
    """Who holds how many quantums of a market."""
    return {
        account.id: account.positions[market.id].size_quantums
        for account in accounts.iterate_accounts(ctx)
        if market.id in account.positions
    }


def assert_ledger(ctx):
    """Coins behind all cash, open interest and the holders of dated markets, to the unit."""
    assert_cash_backed(ctx)
    for market in markets.iterate_markets(ctx):
        sizes = collect_sizes(ctx, market)
        long = sum(max(0, size) for size in sizes.values())
        assert markets.get_market_state(ctx, market.id).open_interest_quantums == long
        if market.is_dated:
            assert list(markets.iterate_holders(ctx, market.id)) == sorted(sizes)


def build_option(market_id=CALL, strike=2_000, kind=markets_pb2.OPTION_KIND_CALL, **changes):
    fields = {
        "id": market_id,
        "kind": markets_pb2.INSTRUMENT_KIND_OPTION,
        "funding_ppm_max": 0,
        "expiry_time_s": EXPIRY_S,
        "strike_wad": str(strike * WAD),
        "option_kind": kind,
        "settlement_window_s": WINDOW_S,
    }
    return build_market(**{**fields, **changes})


def build_put(market_id=PUT, strike=2_000, **changes):
    return build_option(market_id, strike, markets_pb2.OPTION_KIND_PUT, **changes)


def build_future(**changes):
    fields = {
        "id": FUTURE,
        "kind": markets_pb2.INSTRUMENT_KIND_FUTURE,
        "funding_ppm_max": 0,
        "expiry_time_s": EXPIRY_S,
        "settlement_window_s": WINDOW_S,
    }
    return build_market(**{**fields, **changes})


def build_spot(**changes):
    """ETH at 18 decimals: a step is a thousandth, a tick a cent."""
    fields = {
        "id": SPOT,
        "kind": markets_pb2.INSTRUMENT_KIND_SPOT,
        "funding_ppm_max": 0,
        "quantum_decimals": 18,
        "step_quantums": str(10**15),
        "denom": ETH_DENOM,
    }
    return build_market(**{**fields, **changes})


def list_market(ctx, market):
    authority = council.get_authority(ctx)
    return deliver(
        ctx, handlers.handle_list_market, tx_pb2.MsgListMarket(authority=authority, market=market)
    )


def build_instruments(*markets, usd=100_000):
    """The economy with these markets (one of each kind without any) and cash for four traders."""
    ctx = build_economy()
    for market in markets or (build_option(), build_put(), build_future(), build_spot()):
        list_market(ctx, market)
    for trader in (ALICE, BOB, CAROL, DAVE):
        deposit(ctx, trader, usd)
        bank.mint(ctx, trader, ETH_DENOM, 100 * WAD)
    ctx.events.clear()
    return ctx


def trade(ctx, owner, market, side, size, price=None, *, tif=GOOD, reduce_only=False, number=0):
    """Place an order; `price` in USD cents, None is a market order."""
    msg = tx_pb2.MsgPlaceOrder(
        owner=owner,
        number=number,
        market=market,
        side=side,
        size_quantums=str(size),
        price_wad="" if price is None else str(price * WAD // 100),
        time_in_force=tif,
        reduce_only=reduce_only,
    )
    return deliver(ctx, handlers.handle_place_order, msg)


def deposit_base(ctx, owner, amount, market=SPOT, number=0):
    msg = tx_pb2.MsgDepositBase(owner=owner, number=number, market=market, amount=str(amount))
    return deliver(ctx, handlers.handle_deposit_base, msg)


def withdraw_base(ctx, owner, amount, market=SPOT, number=0):
    msg = tx_pb2.MsgWithdrawBase(owner=owner, number=number, market=market, amount=str(amount))
    return deliver(ctx, handlers.handle_withdraw_base, msg)


def end_block(ctx):
    """The block hooks of accounts and markets, in the hub's order."""
    accounts_hooks.end_block(ctx)
    hooks.end_block(ctx)


def advance_to(ctx, time_s, **prices):
    """A block at a time, with its hooks."""
    advance(ctx, 0)
    ctx.time_ns = time_s * NANOSECONDS
    if prices:
        advance(ctx, 0, **prices)
    end_block(ctx)
