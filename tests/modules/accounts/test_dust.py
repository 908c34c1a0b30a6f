"""Rounding is never in a user's favour: a hundred thousand operations on dust gain nothing."""

import random

from hypothesis import given
from hypothesis import strategies as st

from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.settlement import apply_funding, apply_trade
from chain.modules.accounts.types import Account
from chain.modules.bank import state as bank
from chain.modules.markets import state as markets
from chain.modules.markets.errors import NoLiquidity, SelfTrade
from chain.risk.haircut import HaircutFactors, compute_lien_value
from chain.risk.margin import compute_position_value_uusd, compute_requirement_uusd
from chain.units import PPM, WAD, Address, mul_ppm_ceil
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    DAVE,
    MARKET,
    NOW,
    SELL,
    advance,
    assert_identities,
    build_economy,
    build_market,
    deposit,
    get_account,
    place,
    withdraw,
)

OPERATIONS = 100_000
FEES_PPM = (200, 500)


class Books:
    """Accounts, pool and fees, beside what each account would hold without any rounding (WAD)."""

    def __init__(self, count: int) -> None:
        self.accounts = [Account(Address(f"user{index}"), 0) for index in range(count)]
        self.exact_wad = [0] * count
        self.rounded = [0] * count
        self.deposited = self.pool = self.fees = self.index_wad = 0

    def compute_worth(self, user: int) -> int:
        account = self.accounts[user]
        return account.cash_uusd - sum(p.cost_uusd for p in account.positions.values())

    def deposit(self, user: int, amount: int) -> None:
        self.accounts[user].cash_uusd += amount
        self.exact_wad[user] += amount * WAD
        self.deposited += amount

    def settle(self, user: int) -> None:
        position = self.accounts[user].positions.get(MARKET)
        if position is not None:
            owed_wad = position.size_quantums * (self.index_wad - position.funding_index_wad)
            self.exact_wad[user] -= owed_wad
            self.rounded[user] += 1
            self.pool += apply_funding(self.accounts[user], MARKET, self.index_wad)

    def trade(self, buyer: int, seller: int, size: int, price: int) -> None:
        notional = size * price
        for user, sign, fee_ppm in ((buyer, 1, FEES_PPM[0]), (seller, -1, FEES_PPM[1])):
            self.settle(user)
            apply_trade(self.accounts[user], MARKET, sign * size, notional, self.index_wad)
            fee = mul_ppm_ceil(notional, fee_ppm)
            self.accounts[user].cash_uusd -= fee
            self.fees += fee
            self.exact_wad[user] -= sign * notional * WAD + notional * fee_ppm * (WAD // PPM)
            self.rounded[user] += 1

    def assert_nothing_gained(self, user: int) -> None:
        gain_wad = self.compute_worth(user) * WAD - self.exact_wad[user]
        assert -self.rounded[user] * WAD < gain_wad + 1 <= 1

    def assert_nothing_made(self) -> None:
        worth = sum(map(self.compute_worth, range(len(self.accounts))))
        assert worth + self.pool + self.fees == self.deposited


def test_dust_gains_nothing_in_the_books():
    """Deposits, tiny fills, funding of each and partial closes, in a fixed random order."""
    draw = random.Random(20_200_521)
    books = Books(8)
    users = range(8)
    for step in range(OPERATIONS):
        kind = draw.randrange(4)
        user = draw.randrange(8)
        other = (user + draw.randrange(1, 8)) % 8
        if kind == 0:
            books.deposit(user, draw.randrange(1, 4))
        elif kind == 1:
            books.trade(user, other, draw.randrange(1, 6), draw.randrange(1, 50))
        elif kind == 2:
            books.index_wad += draw.randrange(-WAD // 3, WAD // 3)
            books.settle(user)
        else:
            position = books.accounts[user].positions.get(MARKET)
            if position is not None:
                part = draw.randint(1, abs(position.size_quantums))
                sides = (other, user) if position.size_quantums > 0 else (user, other)
                books.trade(*sides, part, draw.randrange(1, 50))
        for one in (user, other):
            books.assert_nothing_gained(one)
        if step % 1_000 == 0:
            books.assert_nothing_made()
    for user in users:
        books.settle(user)
        books.assert_nothing_gained(user)
    books.assert_nothing_made()
    # Without rounding funding sums to zero: what is in the pool was rounded away from users.
    gain_wad = sum(books.compute_worth(u) * WAD - books.exact_wad[u] for u in users)
    assert gain_wad < 0
    assert books.pool > 0
    sizes = [a.positions[MARKET].size_quantums for a in books.accounts if a.positions]
    assert sum(sizes) == 0
    # Nor do positions valued apart make anything, whatever the price.
    for price_wad in (WAD // 3, 7 * WAD // 11, WAD, 12_345_678_901_234_567):
        assert sum(compute_position_value_uusd(size, price_wad, 6) for size in sizes) <= 0


@given(st.lists(st.integers(1, 10**15), min_size=1, max_size=128), st.integers(1, 10**22))
def test_a_lien_in_pieces_never_counts_more(pieces, price_wad):
    def count(amount):
        factors = HaircutFactors("X", 18, amount, 150_000, PPM, 12_822, 20_000, 0)
        return compute_lien_value(factors, price_wad).counted_uusd

    assert sum(map(count, pieces)) <= count(sum(pieces))


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=128), st.integers(1, PPM))
def test_a_position_in_pieces_never_needs_less(pieces, rate_ppm):
    def require(value):
        return compute_requirement_uusd(value, rate_ppm, 12_822)

    assert sum(map(require, pieces)) >= require(sum(pieces))


TRADERS = (ALICE, BOB, CAROL, DAVE)


def test_dust_gains_nothing_on_the_chain():
    """The same through the messages of the chain at one price: everybody ends with less."""
    draw = random.Random(45)
    ctx = build_economy(market=build_market(step_quantums="1", tick_wad=str(WAD)))
    start = {trader: bank.get_balance(ctx, trader, "uusd") for trader in TRADERS}
    for trader in TRADERS:
        deposit(ctx, trader, 1_000)
    filled = 0
    for _ in range(1_500):
        maker, taker = draw.sample(TRADERS, 2)
        side = draw.choice((BUY, SELL))
        against = SELL if side == BUY else BUY
        size = draw.randrange(1, 6)
        try:
            place(ctx, maker, side, size, 200_000)
            place(ctx, taker, against, draw.randrange(1, size + 1), 200_000, tif=NOW)
            filled += 1
        except (NoLiquidity, SelfTrade):
            # What rested before has met the first order, or two orders of one owner would meet.
            pass
        withdraw(ctx, taker, draw.randrange(1, 4))
        if draw.randrange(4) == 0:
            state = markets.get_market_state(ctx, MARKET)
            state.funding_index_wad += draw.randrange(-WAD // 3, WAD // 3)
            markets.set_market_state(ctx, MARKET, state)
        if draw.randrange(20) == 0:
            advance(ctx, 1, ETH=2_000, USDC=1)
    assert_identities(ctx)
    assert filled > 400
    worth = owed = 0
    for trader in TRADERS:
        computed = accounts_margin.compute_account_margin(ctx, get_account(ctx, trader))
        worth += computed.equity_uusd + bank.get_balance(ctx, trader, "uusd")
        owed += sum(line.funding_owed_uusd for line in computed.positions)
    assert worth + accounts.get_accrued_fees(ctx) < sum(start.values())
    # What the pool would hold after everybody settled is what was rounded away.
    pool = sum(amount for _, amount in accounts.iterate_funding_pools(ctx))
    assert worth + accounts.get_accrued_fees(ctx) + pool + owed == sum(start.values())
    assert pool + owed > 0
