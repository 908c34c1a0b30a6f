from chain.modules.accounts import state as accounts
from chain.modules.bank import state as bank
from chain.modules.markets import state
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETHER,
    SELL,
    USD,
    get_account,
)
from tests.modules.instruments import (
    CALL,
    EXPIRY_S,
    WINDOW_S,
    advance_to,
    build_instruments,
    trade,
)


def assert_ledger(ctx):
    ledger = accounts.compute_ledger(ctx)
    held = bank.get_balance(ctx, accounts.MODULE_ADDRESS, "uusd")
    assert held == ledger.expected_balance_uusd


def test_a_call_is_listed_traded_and_settled_in_cash():
    ctx = build_instruments()
    trade(ctx, ALICE, CALL, SELL, 3 * ETHER, 5_000)
    trade(ctx, BOB, CALL, BUY, 2 * ETHER, 5_000)
    assert get_account(ctx, BOB).positions[CALL].cost_uusd == 100 * USD
    for time_s in range(EXPIRY_S - WINDOW_S, EXPIRY_S + 1, 300):
        advance_to(ctx, time_s, ETH=2_100)
        assert_ledger(ctx)
    assert state.get_market(ctx, CALL) is None
    fee = 100 * USD * 700 // 10**6
    alice, bob = get_account(ctx, ALICE), get_account(ctx, BOB)
    assert alice.cash_uusd + bob.cash_uusd == 200_000 * USD - fee
    assert bob.cash_uusd == 100_100 * USD - 50_000
    assert not alice.positions
    assert not bob.positions
    assert not state.get_account_orders(ctx, alice.id)
    assert [event.type for event in ctx.events if "settle" in event.type] == [
        "settlement_price",
        "position_settled",
        "position_settled",
        "market_settled",
        "market_settled",
        "market_settled",
    ]
