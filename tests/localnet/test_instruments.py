"""What a local network lists is what the hub accepts, and expires when it should."""

import pytest

from chain._pb.margin.markets.v1 import markets_pb2
from chain.modules.council.types import authority_address
from chain.modules.markets.state import decode_market
from chain.modules.markets.types import InstrumentKind
from localnet.instruments import (
    STRIKES,
    compute_expiry_time_s,
    make_future,
    make_listings,
    make_option_series,
    make_spot,
)

EXPIRY_S = 1_800_000_000


@pytest.mark.parametrize(
    ("now_s", "ahead_s", "expiry_s"), [(0, 60, 60), (1, 60, 120), (59, 1, 60), (60, 0, 60)]
)
def test_an_expiry_is_the_first_whole_minute_far_enough_ahead(now_s, ahead_s, expiry_s):
    assert compute_expiry_time_s(now_s, ahead_s) == expiry_s


def test_every_market_books_whole_uusd():
    for market in (
        make_future(EXPIRY_S),
        make_spot("ibc/00"),
        make_option_series(EXPIRY_S).template,
    ):
        unit = 10 ** (market.quantum_decimals + 12)
        assert int(market.tick_wad) * int(market.step_quantums) % unit == 0
        assert market.asset == "ETH"


def test_spot_counts_in_atomic_units_of_its_denomination():
    market = make_spot("ibc/00")
    assert (market.quantum_decimals, market.denom) == (18, "ibc/00")
    assert decode_market(market).kind is InstrumentKind.SPOT


def test_the_council_lists_one_future_and_calls_and_puts_of_each_strike():
    future, series = make_listings(EXPIRY_S)
    assert future.authority == series.authority == authority_address()
    assert future.market.expiry_time_s == series.template.expiry_time_s == EXPIRY_S
    assert future.market.settlement_window_s == series.template.settlement_window_s
    assert len(series.strikes_wad) == len(STRIKES)
    assert list(series.kinds) == [markets_pb2.OPTION_KIND_CALL, markets_pb2.OPTION_KIND_PUT]
