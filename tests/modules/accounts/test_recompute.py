from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.errors import ChainError
from chain.modules.accounts import margin, queries
from chain.modules.accounts import state as accounts
from chain.modules.accounts.recompute import recompute_explanation
from chain.modules.accounts.types import Account, AccountId, MarginMode, Position
from chain.modules.markets import state as markets
from chain.modules.markets.types import RestingOrder, SettlementAverage, Side
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.risk.correlation import TierState
from chain.units import WAD
from tests.modules.accounts.mixed_portfolios import (
    MONTH_S,
    PRESETS,
    build_mixed_economy,
    holdings,
)
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    ETH_LIEN,
    ETHER,
    MARKET,
    NOW,
    SELL,
    build_asset_params,
    build_economy,
    build_market,
    correlate,
    deposit,
    fix_haircuts,
    get_account,
    place,
)


@pytest.fixture
def ctx(monkeypatch):
    """Bob: 10 ETH of collateral, long ETH with open orders, short BTC, a tier, a weak price."""
    fix_haircuts(monkeypatch)
    context = build_economy(assets=[build_asset_params(asset) for asset in ("BTC", "ETH", "USDC")])
    deposit(context, ALICE, 500_000)
    deposit(context, BOB, 50_000)
    accounts.credit_lien(context, AccountId(BOB, 0), ETH_LIEN, 10 * WAD + 7)
    place(context, ALICE, SELL, 7 * ETHER + 3_000, 200_003)
    place(context, BOB, BUY, 7 * ETHER + 3_000, tif=NOW)
    place(context, BOB, SELL, 9 * ETHER, 210_001)
    place(context, BOB, BUY, 2 * ETHER, 190_001)
    markets.set_market(context, build_market(id="BTC-USD", asset="BTC"))
    price = oracle.get_price(context, "ETH")
    oracle.set_price(context, replace(price, asset="BTC", price_wad=50_000 * WAD + 1))
    oracle.set_price(context, replace(price, confidence_ppm=512_345))
    oracle.set_volatility_index(context, 1_000_000, TierState(2))
    account = get_account(context, BOB)
    account.positions["BTC-USD"] = Position(-333_333, -16_000_000_001)
    accounts.set_account(context, account)
    return context


def explain(ctx, mode):
    account = get_account(ctx, BOB)
    account.margin_mode = mode
    return queries.explain_margin(ctx, account)


def list_underlying(ctx, asset, start=0, end=0, preset="pmrm21"):
    current = scenarios_pb2.Underlying(asset=asset, preset=preset, stable_asset="USDC")
    scenarios.set_underlying_state(
        ctx,
        scenarios_pb2.UnderlyingState(current=current, ramp_start_s=start, ramp_end_s=end),
    )


def test_standard_margin_follows_from_its_printed_inputs(ctx):
    explanation = explain(ctx, MarginMode.STANDARD)
    assert len(explanation.liens) == 1
    assert len(explanation.positions) == 2
    assert recompute_explanation(explanation) == []


@pytest.mark.parametrize("preset", ["pmrm21", "span16", "scan24"])
@pytest.mark.parametrize("listed", [("ETH",), ("BTC", "ETH"), ()])
@pytest.mark.parametrize("rho_ppm", [None, -700_000, 0, 850_000])
def test_portfolio_margin_follows_from_its_printed_inputs(ctx, listed, preset, rho_ppm):
    if rho_ppm is not None:
        correlate(ctx, rho_ppm)
    for asset in listed:
        list_underlying(ctx, asset, preset=preset)
    explanation = explain(ctx, MarginMode.PORTFOLIO)
    assert [line.asset for line in explanation.underlyings] == list(listed)
    assert recompute_explanation(explanation) == []


def test_a_ramp_follows_from_its_printed_inputs(ctx):
    list_underlying(ctx, "ETH", ctx.time_s - 1_000, ctx.time_s + 2_600)
    harsher = scenarios_pb2.Underlying(asset="BTC", preset="pmrm21")
    list_underlying(ctx, "BTC")
    harsher.parameters.add(name="perp_pct_wad", value=str(WAD // 10))
    scenarios.change_underlying(ctx, harsher)
    ctx.time_ns += 77 * 10**9
    explanation = explain(ctx, MarginMode.PORTFOLIO)
    for line in explanation.underlyings:
        assert abs(int(line.loss_uusd)) < int(line.maintenance_target_uusd)
    assert recompute_explanation(explanation) == []


@pytest.mark.parametrize("path", ["lien", "position", "scenario", "loss", "total", "initial"])
def test_a_figure_that_was_tampered_with_is_named(ctx, path):
    for asset in ("BTC", "ETH"):
        list_underlying(ctx, asset)
    explanation = explain(ctx, MarginMode.PORTFOLIO)
    target, field = {
        "lien": (explanation.liens[0], "counted_uusd"),
        "position": (explanation.positions[1], "unrealised_uusd"),
        "scenario": (explanation.underlyings[1].scenarios[20], "profit_wad"),
        "loss": (explanation.underlyings[0], "loss_initial_high_uusd"),
        "total": (explanation, "maintenance_uusd"),
        "initial": (explanation, "initial_uusd"),
    }[path]
    setattr(target, field, str(int(getattr(target, field)) + 1))
    assert any(field in difference for difference in recompute_explanation(explanation))


def test_the_market_without_a_position_but_with_orders_is_explained(ctx):
    account = get_account(ctx, BOB)
    del account.positions[MARKET]
    account.margin_mode = MarginMode.PORTFOLIO
    list_underlying(ctx, "ETH")
    assert recompute_explanation(queries.explain_margin(ctx, account)) == []
    assert margin.compute_account_margin(ctx, account).initial_uusd > 0


# Every kind of instrument, in both modes


@pytest.mark.parametrize("mode", list(MarginMode))
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_mixed_portfolio_follows_from_its_printed_inputs(mode, data):
    ctx = build_mixed_economy(
        data.draw(st.sampled_from(PRESETS)),
        data.draw(st.sampled_from((-300_000, 0, 600_000))),
        rate_wad=data.draw(st.sampled_from(("", str(WAD // 20), str(-WAD // 50)))),
        skew_wad=data.draw(st.sampled_from(("", str(-WAD // 10)))),
    )
    if data.draw(st.booleans()):
        markets.set_settlement(ctx, "ETH", MONTH_S, SettlementAverage(price_wad=2_345 * WAD))
    if data.draw(st.booleans()):
        ctx.kv("scenarios").delete(b"\x01ETH")
    if data.draw(st.booleans()):
        # A first set, or a harsher one, half-way through its ramp.
        harsher = scenarios_pb2.Underlying(asset="ETH", preset="pmrm21")
        harsher.parameters.add(name="opt_pct_wad", value=str(WAD // 20))
        harsher.standard_parameters.add(name="mm_call_wad", value=str(WAD // 10))
        scenarios.change_underlying(ctx, harsher)
        ctx.time_ns += 1_777 * 10**9
    stable = oracle.get_price(ctx, "USDC")
    oracle.set_price(
        ctx, replace(stable, price_wad=data.draw(st.sampled_from((WAD, WAD * 9 // 10))))
    )
    price = oracle.get_price(ctx, "ETH")
    oracle.set_price(
        ctx, replace(price, confidence_ppm=data.draw(st.sampled_from((10**6, 3 * 10**5))))
    )
    positions, orders = data.draw(holdings(ctx))
    for order in orders:
        markets.insert_order(ctx, AccountId(BOB, 0), order)
    account = Account(BOB, 0, 10**12, positions, margin_mode=mode)
    explanation = queries.explain_margin(ctx, account)
    assert recompute_explanation(explanation) == []
    assert len(explanation.positions) == len({*positions, *(one.market for one in orders)})


def list_figures(message, path=()):
    """Every text or number of a message that has a digit, as (message, field, index)."""
    for descriptor, value in message.ListFields():
        values = value if descriptor.is_repeated else [value]
        for index, one in enumerate(values):
            place = index if descriptor.is_repeated else None
            if descriptor.message_type is not None:
                yield from list_figures(one, (*path, descriptor.name))
            elif isinstance(one, str) and one.lstrip("-").isdigit():
                yield message, descriptor.name, place, (*path, descriptor.name)


@pytest.mark.parametrize("mode", list(MarginMode))
def test_no_figure_of_a_mixed_portfolio_can_be_changed_unseen(mode):
    """Another figure in any place is found out, but for inputs that nothing there depends on."""
    ctx = build_mixed_economy()
    oracle.set_price(ctx, replace(oracle.get_price(ctx, "USDC"), price_wad=9 * WAD // 10))
    positions = {
        "ETH-USD": Position(10**6, 10**9),
        "ETH-SPOT": Position(WAD),
        "ETH-F1": Position(-2 * 10**6, -(10**9)),
        "ETH-C2000X1": Position(-(10**6), -(10**8)),
        "ETH-P2500X2": Position(3 * 10**6, 10**9),
        "BTC-USD": Position(-(10**5), -(10**9)),
    }
    orders = [
        RestingOrder(1, "ETH-C2000X1", Side.SELL, 10_000, 500, 500, reduce_only=False),
        RestingOrder(2, "ETH-F1", Side.BUY, 190_000, 500, 500, reduce_only=False),
    ]
    for order in orders:
        markets.insert_order(ctx, AccountId(BOB, 0), order)
    account = Account(BOB, 0, 10**12, positions, margin_mode=mode)
    explanation = queries.explain_margin(ctx, account)
    assert recompute_explanation(explanation) == []
    seen, unseen = {}, {}
    for message, name, index, path in list(list_figures(explanation)):
        before = getattr(message, name) if index is None else getattr(message, name)[index]
        set_figure(message, name, index, str(3 * int(before) + 10**9 + 7))
        try:
            found = recompute_explanation(explanation)
        except ChainError as error:
            found = [str(error)]
        (seen if found else unseen)[".".join(path)] = True
        set_figure(message, name, index, before)
    # What funding was settled at, a stable that no ramp asks for, and what cash can leave.
    never = {"positions.position.funding_index_wad", "terms.previous_stable_wad"}
    never |= {"withdrawable_uusd"}
    # What belongs to other kinds: costs, funding, sales and rates of spot, a rate without options.
    sometimes = {"positions.funding_owed_uusd", "positions.position.cost_uusd"}
    sometimes |= {"positions.maintenance_ppm", "positions.initial_ppm", "positions.volatility_wad"}
    sometimes |= {"positions.sold_quantums", "positions.volatility_initial_wad"}
    if mode is MarginMode.PORTFOLIO:
        sometimes |= {"terms.latency_wad", "terms.rate_wad"}
    else:
        never |= {"terms.latency_wad", "terms.rate_wad"}
    assert {*unseen} <= never | sometimes, sorted({*unseen} - never - sometimes)
    assert sometimes <= {*seen}


def set_figure(message, name, index, text):
    if index is None:
        setattr(message, name, text)
    else:
        getattr(message, name)[index] = text
