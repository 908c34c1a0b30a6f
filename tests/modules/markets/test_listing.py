from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain._pb.margin.markets.v1 import markets_pb2, tx_pb2
from chain.errors import ChainError
from chain.modules.council import state as council
from chain.modules.markets import handlers, listing, state
from chain.modules.markets.errors import InvalidMarket
from chain.modules.markets.state import Expiry
from chain.modules.markets.types import InstrumentKind
from chain.units import WAD, YEAR_S, InvalidAmount
from tests.modules.economy import ALICE, build_economy, build_market, deliver
from tests.modules.instruments import (
    CALL,
    EXPIRY_S,
    FUTURE,
    PUT,
    SPOT,
    START_S,
    WINDOW_S,
    build_future,
    build_instruments,
    build_option,
    build_put,
    build_spot,
    list_market,
)

CALLS, PUTS = markets_pb2.OPTION_KIND_CALL, markets_pb2.OPTION_KIND_PUT


@pytest.fixture
def ctx():
    return build_economy()


def assert_unlisted(ctx, market, match):
    before = dict(ctx.store.net_writes()["markets"])
    with pytest.raises(InvalidMarket, match=match):
        list_market(ctx, market)
    assert ctx.store.net_writes()["markets"] == before


def build_template(**changes):
    template = build_option()
    for field, value in {"id": "", "strike_wad": "", "option_kind": 0, **changes}.items():
        setattr(template, field, value)
    return template


def list_series(ctx, strikes, kinds=(CALLS, PUTS), **changes):
    msg = tx_pb2.MsgListOptionSeries(
        authority=council.get_authority(ctx),
        template=build_template(**changes),
        strikes_wad=strikes,
        kinds=kinds,
    )
    return list(deliver(ctx, handlers.handle_list_option_series, msg).markets)


# One market


def test_a_market_of_each_kind_is_found_by_kind_and_expiry():
    ctx = build_instruments()
    by_kind = {
        kind: [market.id for market in state.iterate_markets_of_kind(ctx, kind)]
        for kind in InstrumentKind
    }
    assert by_kind == {
        InstrumentKind.PERPETUAL: ["ETH-USD"],
        InstrumentKind.SPOT: [SPOT],
        InstrumentKind.FUTURE: [FUTURE],
        InstrumentKind.OPTION: [CALL, PUT],
    }
    assert list(state.iterate_expiries(ctx)) == [Expiry(EXPIRY_S, "ETH")]
    found = state.iterate_expiry_markets(ctx, Expiry(EXPIRY_S, "ETH"))
    assert [market.id for market in found] == [FUTURE, CALL, PUT]


def test_expiries_ascend_by_time_then_asset(ctx):
    for index, (asset, days) in enumerate((("USDC", 2), ("ETH", 3), ("ETH", 2), ("ETH", 1))):
        for strike in (1_000, 2_000):
            expiry_s = START_S + days * 86_400
            list_market(
                ctx, build_option(f"O{index}-{strike}", strike, asset=asset, expiry_time_s=expiry_s)
            )
    days = [
        ((expiry.time_s - START_S) // 86_400, expiry.asset)
        for expiry in state.iterate_expiries(ctx)
    ]
    assert days == [(1, "ETH"), (2, "ETH"), (2, "USDC"), (3, "ETH")]
    assert len(list(state.iterate_expiries(ctx, START_S + 2 * 86_400))) == 3
    assert len(list(state.iterate_expiries(ctx, START_S + 2 * 86_400 - 1))) == 1


@pytest.mark.parametrize("build", [build_option, build_future])
@pytest.mark.parametrize(
    ("expiry_s", "match"),
    [
        (START_S, "after the block time"),
        (START_S - 60, "after the block time"),
        (START_S + 2 * YEAR_S + 60, "two years"),
        (START_S + WINDOW_S - 60, "would have begun"),
        (START_S + WINDOW_S, "would have begun"),
        (START_S + 86_400 + 1, "whole minutes"),
    ],
)
def test_an_expiry_lies_ahead_within_two_years_and_is_not_averaged_yet(ctx, build, expiry_s, match):
    assert_unlisted(ctx, build(expiry_time_s=expiry_s), match)


def test_the_first_and_last_expiry_that_may_be_listed(ctx):
    for expiry_s in (START_S + WINDOW_S + 60, START_S + 2 * YEAR_S):
        list_market(ctx, build_future(id=f"F{expiry_s}", expiry_time_s=expiry_s))


@pytest.mark.parametrize(
    ("market", "match"),
    [
        (build_option("ETH-OTHER"), "same terms"),
        (build_put("ETH-OTHER"), "same terms"),
        (build_future(id="ETH-OTHER"), "same terms"),
        (build_spot(id="ETH-OTHER"), "trades aeth"),
        (build_option("ETH-OTHER", 2_100, settlement_window_s=60), "settles at one price"),
        (build_future(id="ETH-OTHER", settlement_window_s=3_600), "settles at one price"),
        (build_spot(id="ETH-OTHER", denom="uusd"), "not the uusd of cash"),
        (build_spot(id="ETH-OTHER", denom="x"), "bank denom"),
        (build_spot(id="ETH-OTHER", denom="beth", expiry_time_s=EXPIRY_S), "must be empty"),
        (build_future(id="ETH-OTHER", strike_wad="1"), "must be empty"),
        (build_option("ETH-OTHER", 2_100, option_kind=3), "option_kind"),
        (build_option("ETH-OTHER", 2_100, settlement_window_s=59), "settlement_window_s"),
        (build_option("ETH-OTHER", 2_100, settlement_window_s=86_401), "settlement_window_s"),
        (build_option("ETH-OTHER", 2_100, funding_ppm_max=1), "without funding"),
        (build_option("ETH-OTHER", strike_wad=str(1 << 120)), "strike_wad"),
        (build_market(id="ETH-OTHER", kind=0), "kind 0"),
        (build_market(id="ETH-OTHER", kind=5), "kind 5"),
    ],
)
def test_what_may_not_stand_beside_a_market_of_each_kind(market, match):
    assert_unlisted(build_instruments(), market, match)


def test_what_differs_in_one_term_is_another_market():
    ctx = build_instruments()
    later = {"expiry_time_s": EXPIRY_S + 60}
    for market in (
        build_option("A", 2_001),
        build_option("B", **later),
        build_option("C", asset="USDC"),
        build_future(id="D", **later),
        build_future(id="E", asset="USDC"),
        build_spot(id="F", denom="beth"),
    ):
        list_market(ctx, market)


def test_a_strike_without_a_value_is_refused(ctx):
    with pytest.raises(InvalidAmount, match="strike_wad"):
        list_market(ctx, build_option(strike_wad=""))


def test_terms_of_the_kind_never_change():
    ctx = build_instruments()
    for market, changes in (
        (build_option, {"strike_wad": str(WAD)}),
        (build_option, {"expiry_time_s": EXPIRY_S + 60}),
        (build_option, {"option_kind": PUTS}),
        (build_option, {"settlement_window_s": 60}),
        (build_spot, {"denom": "beth"}),
    ):
        msg = tx_pb2.MsgUpdateMarket(authority=council.get_authority(ctx), market=market(**changes))
        with pytest.raises(InvalidMarket, match="for good"):
            deliver(ctx, handlers.handle_update_market, msg)


def test_perpetuals_are_bounded_by_what_a_block_can_fund(ctx, monkeypatch):
    monkeypatch.setattr(listing, "PERPETUALS_MAX", 2)
    list_market(ctx, build_market(id="ETH2-USD"))
    assert_unlisted(ctx, build_market(id="ETH3-USD"), "the most that a block can fund")
    list_market(ctx, build_option())


# A series


def test_a_series_lists_each_strike_and_kind(ctx):
    expiry_s = int(datetime(2027, 3, 26, 8, tzinfo=UTC).timestamp())
    ids = list_series(ctx, [str(WAD // 2), str(2_000 * WAD)], expiry_time_s=expiry_s)
    assert ids == [
        "ETH-202703260800-0D5-C",
        "ETH-202703260800-0D5-P",
        "ETH-202703260800-2000-C",
        "ETH-202703260800-2000-P",
    ]
    market = state.require_market(ctx, ids[3])
    assert (market.strike_wad, market.option_kind.name) == (2_000 * WAD, "PUT")
    listed = [event for event in ctx.events if event.type == "market_listed"]
    assert len(listed) == len(ids)


def test_midnight_is_left_out_of_the_id(ctx):
    expiry_s = int(datetime(2028, 2, 29, tzinfo=UTC).timestamp())
    assert list_series(ctx, [str(1_850 * WAD)], [PUTS], expiry_time_s=expiry_s) == [
        "ETH-20280229-1850-P"
    ]


@pytest.mark.parametrize(
    ("strikes", "kinds", "changes", "match"),
    [
        ([], (CALLS,), {}, "1 to 64"),
        (["1"], (), {}, "1 to 64"),
        ([str(strike) for strike in range(1, 34)], (CALLS, PUTS), {}, "1 to 64"),
        (["2", "1"], (CALLS,), {}, "ascend"),
        (["1", "1"], (CALLS,), {}, "ascend"),
        (["0"], (CALLS,), {}, "strikes_wad"),
        (["1.5"], (CALLS,), {}, "strikes_wad"),
        (["-1"], (CALLS,), {}, "strikes_wad"),
        (["1"], (CALLS, CALLS), {}, "each once"),
        (["1"], (0,), {}, "each once"),
        (["1"], (3,), {}, "each once"),
        (["1"], (CALLS,), {"id": "ETH-X"}, "leave id"),
        (["1"], (CALLS,), {"strike_wad": "1"}, "leave id"),
        (["1"], (CALLS,), {"option_kind": CALLS}, "leave id"),
        (["1"], (CALLS,), {"kind": markets_pb2.INSTRUMENT_KIND_FUTURE}, "must be option"),
        ([str(WAD)], (CALLS,), {"expiry_time_s": START_S}, "after the block time"),
        ([str(WAD), str(10**19 * WAD)], (CALLS,), {}, "length of the market id"),
        ([str(WAD), str(2_000 * WAD)], (PUTS, CALLS), {}, "same terms"),
        ([str(WAD + 1)], (CALLS,), {}, "length of the market id"),
    ],
)
def test_a_bad_series_lists_nothing(strikes, kinds, changes, match):
    ctx = build_instruments()
    before = dict(ctx.store.net_writes()["markets"])
    with pytest.raises(ChainError, match=match):
        list_series(ctx, strikes, kinds, **changes)
    assert ctx.store.net_writes()["markets"] == before


def test_a_series_needs_room_for_all_of_it(ctx):
    params = markets_pb2.Params()
    params.CopyFrom(state.get_params(ctx))
    params.markets_max = 4
    state.set_params(ctx, params)
    with pytest.raises(InvalidMarket, match="the most allowed"):
        list_series(ctx, [str(WAD), str(2 * WAD)])
    assert len(list_series(ctx, [str(WAD), str(2 * WAD), str(3 * WAD)], (CALLS,))) == 3


def test_only_the_council_lists_a_series(ctx):
    msg = tx_pb2.MsgListOptionSeries(
        authority=ALICE, template=build_template(), strikes_wad=["1"], kinds=[CALLS]
    )
    with pytest.raises(ChainError):
        deliver(ctx, handlers.handle_list_option_series, msg)


@given(st.integers(-719_162, 2_932_896))
def test_dates_are_those_of_the_calendar(days):
    expected = date(1970, 1, 1) + timedelta(days=days)
    assert listing.compute_civil_date(days) == (expected.year, expected.month, expected.day)


@given(st.integers(1, 2**33).map(lambda minutes: minutes * 60 % 2**36), st.integers(1, 2**100))
def test_ids_tell_all_terms(expiry_s, strike_wad):
    first = listing.build_option_id("ETH", expiry_s, strike_wad, "C")
    moment = datetime.fromtimestamp(expiry_s, UTC)
    asset, when, strike, letter = first.split("-")
    assert (asset, letter) == ("ETH", "C")
    shape = "%Y%m%d%H%M" if expiry_s % 86_400 else "%Y%m%d"
    assert when == moment.strftime(shape)
    whole, _, decimals = strike.partition("D")
    assert int(whole) * WAD + int(decimals.ljust(18, "0")) == strike_wad
