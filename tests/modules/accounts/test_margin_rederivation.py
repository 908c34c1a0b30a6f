"""An account's margin computed again from the text of the rules, in decimals, without its code.

From positions, prices and market terms alone: E, MMR and IMR of both modes. Money is compared in
uusd, of which each floor or ceiling may move a sum by one: one a position's value, and one each of
its requirements.
"""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.modules.accounts.types import MarginMode
from chain.modules.markets import state as markets
from chain.modules.markets.types import InstrumentKind, OptionKind
from chain.modules.oracle import state as oracle
from chain.units import WAD
from tests.modules.accounts.mixed_portfolios import (
    MONTH_S,
    QUARTER_S,
    START_S,
    build_mixed_economy,
    compute,
    holdings,
)
from tests.risk import reference
from tests.risk.portfolios import dec

CASH = Decimal(10**6)
UUSD = Decimal("1e-6")
VOLATILITY = Decimal("0.8")
"""That of the oracle at genesis, above every market's floor of 0.4."""
ONE = Decimal(1)
# Five digits, so that the spot of options is the spot.
PRICES = ("2000", "1987.6", "2345.1", "1499.9")


def build_ctx(preset, price, stable):
    ctx = build_mixed_economy(preset)
    for asset, value in (("ETH", price), ("USDC", stable)):
        known = oracle.get_price(ctx, asset)
        oracle.set_price(ctx, replace(known, price_wad=int(Decimal(value) * WAD)))
    return ctx


def gather(ctx, positions, spot, stable):
    """The positions as the reference takes them, and (value, cost) sums by kind, USD."""
    sums = {kind: [Decimal(0), Decimal(0)] for kind in InstrumentKind}
    holding = {
        "spot": spot,
        "perp_price": spot,
        "perp": Decimal(0),
        "base": Decimal(0),
        "perp_pnl": Decimal(0),
        "cash": Decimal(0),
        "stable": stable,
        "spot_conf": ONE,
        "perp_conf": ONE,
        "expiries": [],
    }
    linear = []
    expiries = {
        time_s: {
            "seconds": Decimal(time_s - START_S),
            "var": spot,
            "fix": Decimal(0),
            "rate": Decimal(0),
            "latency": Decimal(0),
            "future": Decimal(0),
            "confs": (ONE, ONE, ONE),
            "options": [],
        }
        for time_s in (MONTH_S, QUARTER_S)
    }
    for market_id, position in positions.items():
        market = markets.require_market(ctx, market_id)
        amount = Decimal(position.size_quantums) / 10**market.quantum_decimals
        price = spot
        if market.kind is InstrumentKind.PERPETUAL:
            holding["perp"] += amount
        elif market.kind is InstrumentKind.SPOT:
            holding["base"] += amount
        elif market.kind is InstrumentKind.FUTURE:
            expiries[market.expiry_time_s]["future"] += amount
        else:
            expiry = expiries[market.expiry_time_s]
            kind = "call" if market.option_kind is OptionKind.CALL else "put"
            option = (dec(market.strike_wad), kind, amount, VOLATILITY)
            expiry["options"].append(option)
            years = expiry["seconds"] / reference.YEAR
            price = reference.black76(spot, option[0], VOLATILITY, years, kind)
        if market.kind in (InstrumentKind.PERPETUAL, InstrumentKind.FUTURE):
            linear.append((market, abs(amount) * spot))
        sums[market.kind][0] += amount * price
        sums[market.kind][1] += position.cost_uusd * UUSD
    holding["expiries"] = list(expiries.values())
    return holding, sums, linear


def compute_premium(volatility, seconds):
    """L of row 3, up to a ppm."""
    exact = 3 * volatility * (Decimal(seconds) / reference.YEAR).sqrt()
    return (exact / UUSD).to_integral_value(rounding="ROUND_CEILING") * UUSD


def compute_linear(linear, *, initial):
    """Row 13 over perpetuals and futures."""
    total = Decimal(0)
    for market, value in linear:
        rate = Decimal(market.initial_ppm if initial else market.maintenance_ppm) * UUSD
        volatility = VOLATILITY * (Decimal("1.25") if initial else 1)
        total += value * (rate + compute_premium(volatility, market.horizon_s))
    return total


ethers = st.sampled_from(PRICES)
stables = st.sampled_from(("1", "0.99", "0.95"))


def draw_positions(ctx, data):
    positions, _ = data.draw(holdings(ctx, orders=False))
    return {name: held for name, held in positions.items() if name.startswith("ETH")}


@settings(max_examples=25, deadline=None)
@given(st.data(), ethers, stables)
def test_standard_margin_of_an_account(data, price, stable):
    ctx = build_ctx("pmrm21", price, stable)
    positions = draw_positions(ctx, data)
    holding, sums, linear = gather(ctx, positions, Decimal(price), Decimal(stable))
    result = compute(ctx, positions)
    bound = (3 * len(positions) + 4) * UUSD
    profit = sum(
        sums[kind][0] - sums[kind][1] for kind in (InstrumentKind.PERPETUAL, InstrumentKind.FUTURE)
    )
    # A premium paid is gone until the option pays; spot counts at 80 %.
    base = holding["base"] * holding["spot"] * Decimal("0.8")
    equity = CASH + profit - sums[InstrumentKind.OPTION][1] + base
    assert abs(result.equity_uusd * UUSD - equity) <= bound
    requirements = {}
    for initial in (True, False):
        options = sum(
            reference.standard_expiry(e, holding["spot"], reference.STANDARD, initial=initial)
            for e in holding["expiries"]
        )
        requirements[initial] = compute_linear(linear, initial=initial) - options
    requirements[True] += reference.standard_charges(holding, reference.STANDARD)
    assert abs(result.maintenance_uusd * UUSD - requirements[False]) <= bound
    assert abs(result.initial_uusd * UUSD - requirements[True]) <= bound


@pytest.mark.parametrize("preset", ["pmrm21", "scan24", "span16"])
@settings(max_examples=8, deadline=None)
@given(data=st.data(), price=ethers, stable=stables)
def test_portfolio_margin_of_an_account(preset, data, price, stable):
    ctx = build_ctx(preset, price, stable)
    positions = draw_positions(ctx, data)
    holding, sums, _ = gather(ctx, positions, Decimal(price), Decimal(stable))
    result = compute(ctx, positions, mode=MarginMode.PORTFOLIO)
    bound = (3 * len(positions) + 4) * UUSD
    profit = sum(
        value - cost for kind, (value, cost) in sums.items() if kind is not InstrumentKind.SPOT
    )
    equity = CASH + profit + holding["base"] * holding["spot"] / holding["stable"]
    assert abs(result.equity_uusd * UUSD - equity) <= bound
    rows, parameters = reference.PRESETS[preset]
    initial, maintenance, total, *_ = reference.portfolio_margin(holding, rows, parameters)
    assert abs(result.maintenance_uusd * UUSD - (total - maintenance)) <= bound
    assert abs(result.initial_uusd * UUSD - (total - initial)) <= bound
