from dataclasses import replace

import pytest

from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.accounts import margin, queries
from chain.modules.accounts import state as accounts
from chain.modules.accounts.recompute import recompute_explanation
from chain.modules.accounts.types import AccountId, MarginMode, Position
from chain.modules.markets import state as markets
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.risk.correlation import TierState
from chain.units import WAD
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
