"""The judgement of an expiry, by figures worked out by hand; one thing broken at a time."""

import pytest

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.markets.v1 import markets_pb2
from localnet.block_history import BlockEvent
from localnet.settlement_report import (
    PriceSample,
    compute_average_wad,
    compute_payoff_wad,
    compute_settled_value_uusd,
    find_window,
    judge_settlement,
)

S = 10**9
WAD = 10**18
PUT = markets_pb2.Market(
    id="ETH-PUT",
    kind=markets_pb2.INSTRUMENT_KIND_OPTION,
    option_kind=markets_pb2.OPTION_KIND_PUT,
    strike_wad=str(200 * WAD),
    quantum_decimals=6,
)
CALL = markets_pb2.Market(
    id="ETH-CALL",
    kind=markets_pb2.INSTRUMENT_KIND_OPTION,
    option_kind=markets_pb2.OPTION_KIND_CALL,
    strike_wad=str(180 * WAD),
    quantum_decimals=6,
)
FUTURE = markets_pb2.Market(
    id="ETH-FUTURE", kind=markets_pb2.INSTRUMENT_KIND_FUTURE, quantum_decimals=6
)


def test_each_price_counts_for_the_time_since_the_block_before():
    samples = [PriceSample(12 * S, 100 * WAD), PriceSample(14 * S, 200 * WAD)]
    assert compute_average_wad(samples, 10 * S, 14 * S) == 150 * WAD
    assert compute_average_wad(samples, 11 * S, 14 * S) == 500 * WAD // 3


def test_what_lies_outside_the_window_counts_nothing():
    samples = [
        PriceSample(9 * S, WAD),
        PriceSample(12 * S, 100 * WAD),
        PriceSample(30 * S, 7 * WAD),
    ]
    assert compute_average_wad(samples, 10 * S, 13 * S) == (2 * 100 + 7) * WAD // 3


def test_time_without_a_price_is_part_of_no_mean():
    samples = [PriceSample(12 * S, 0), PriceSample(13 * S, 90 * WAD)]
    assert compute_average_wad(samples, 10 * S, 13 * S) == 90 * WAD
    assert compute_average_wad([PriceSample(12 * S, 0)], 10 * S, 13 * S) == 0


def test_the_window_ends_with_the_first_block_at_its_end():
    times = {5: 8 * S, 6: 10 * S, 7: 11 * S, 8: 15 * S, 9: 16 * S}
    assert find_window(times, 10 * S, 14 * S) == [7, 8]
    assert find_window(times, 10 * S, 15 * S) == [7, 8]


@pytest.mark.parametrize(
    ("market", "price", "payoff"),
    [(PUT, 193, 7), (PUT, 207, 0), (CALL, 193, 13), (CALL, 170, 0), (FUTURE, 193, 193)],
    ids=["put in", "put out", "call in", "call out", "future"],
)
def test_payoffs(market, price, payoff):
    assert compute_payoff_wad(market, price * WAD) == payoff * WAD


def test_a_value_is_floored_on_both_sides():
    price = 200 * WAD - 1
    assert compute_settled_value_uusd(PUT, 10**6, price) == 0
    assert compute_settled_value_uusd(PUT, -(10**6), price) == -1


def account(cash, *positions):
    return accounts_pb2.Account(
        cash_uusd=str(cash),
        positions=[
            accounts_pb2.Position(market=market, size_quantums=str(size), cost_uusd=str(cost))
            for market, size, cost in positions
        ],
    )


def payment(market, value):
    return BlockEvent(
        "hub-1", 9, 9 * S, "position_settled", {"market": market, "value_uusd": value}
    )


BEFORE = account(1_000, ("ETH-PUT", 2 * 10**6, 9_000_000), ("ETH-PERP", 5, 5))
AFTER = account(1_000 + 14_000_000 - 9_000_000, ("ETH-PERP", 5, 5))
PAID = payment("ETH-PUT", "14000000")


def judge(before=BEFORE, after=AFTER, payments=(PAID,), price=193 * WAD):
    return judge_settlement({"ETH-PUT": PUT}, before, after, payments, price)


def test_an_exact_payment_holds():
    check = judge()
    assert check.holds
    (row,) = check.figures["positions"]
    assert (row["payoff_wad"], row["pnl_uusd"]) == (str(7 * WAD), "5000000")


@pytest.mark.parametrize(
    "broken",
    [
        {"after": account(5_001_001, ("ETH-PERP", 5, 5))},
        {"after": account(5_001_000, ("ETH-PUT", 2 * 10**6, 9_000_000))},
        {"payments": [payment("ETH-PUT", "14000001")]},
        {"payments": []},
        {"price": 193 * WAD - 10**12},
    ],
    ids=["cash", "position stays", "told otherwise", "nothing paid", "another price"],
)
def test_one_uusd_off_fails(broken):
    assert not judge(**broken).holds
