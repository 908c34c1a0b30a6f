from hypothesis import given
from hypothesis import strategies as st

from chain.modules.accounts.settlement import apply_funding, apply_trade
from chain.modules.accounts.types import Account
from chain.units import WAD, Address

MARKET = "ETH-USD"
TRADES = st.lists(
    st.tuples(
        st.integers(-(10**9), 10**9).filter(bool),
        st.integers(0, 10**15),
        st.integers(-(10**20), 10**20),
    ),
    max_size=20,
)


def compute_worth(account):
    """Cash minus cost: what trading may only move between accounts."""
    return account.cash_uusd - sum(p.cost_uusd for p in account.positions.values())


@given(TRADES)
def test_trades_between_two_accounts_sum_to_zero_to_the_unit(trades):
    left, right = Account(Address("left"), 0), Account(Address("right"), 0)
    pool = index = 0
    for size, notional, move in trades:
        index += move
        for account in (left, right):
            pool += apply_funding(account, MARKET, index)
        before = compute_worth(left)
        apply_trade(left, MARKET, size, notional, index)
        apply_trade(right, MARKET, -size, notional, index)
        assert compute_worth(left) - before == (-notional if size > 0 else notional)
        assert compute_worth(left) + compute_worth(right) + pool == 0
    sizes = [a.positions[MARKET].size_quantums for a in (left, right) if a.positions]
    assert sum(sizes) == 0


@given(TRADES)
def test_a_closed_position_leaves_no_cost(trades):
    account = Account(Address("one"), 0)
    for size, notional, _ in trades:
        apply_trade(account, MARKET, size, notional, 0)
    if account.positions:
        apply_trade(account, MARKET, -account.positions[MARKET].size_quantums, 7, 0)
    assert not account.positions


def test_realised_profit_by_hand():
    account = Account(Address("one"), 0)
    assert apply_trade(account, MARKET, 10, 1_000, 0) == 0
    assert apply_trade(account, MARKET, -4, 480, 0) == 80
    assert (account.cash_uusd, account.positions[MARKET].cost_uusd) == (80, 600)
    # Flips: 6 close at 100 each, 4 open short.
    assert apply_trade(account, MARKET, -10, 1_000, 0) == 0
    position = account.positions[MARKET]
    assert (position.size_quantums, position.cost_uusd) == (-4, -400)
    assert apply_trade(account, MARKET, 4, 440, 0) == -40
    assert account.cash_uusd == 40
    assert not account.positions


def test_funding_rounds_against_both_sides():
    long, short = Account(Address("long"), 0), Account(Address("short"), 0)
    apply_trade(long, MARKET, 3, 300, 0)
    apply_trade(short, MARKET, -3, 300, 0)
    paid = apply_funding(long, MARKET, WAD // 2)
    got = apply_funding(short, MARKET, WAD // 2)
    assert (paid, got) == (2, -1)
    assert apply_funding(long, MARKET, WAD // 2) == 0
