"""A desk's questions, each answered by the margin function that the chain decides by."""

import pytest

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.desk.v1 import query_pb2 as pb
from chain.errors import ChainError
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId, MarginMode
from chain.modules.collateral.errors import CapExceeded
from chain.modules.desk import greeks, probing, queries
from chain.modules.oracle import state as oracle
from chain.runtime.errors import InvalidRequest
from chain.units import WAD
from tests.modules.economy import ALICE, BOB, BUY, ETHER, MARKET, SELL, USD, deposit, place
from tests.modules.margin_network import DENOM, ETH, build_network

ACCOUNT = AccountId(ALICE, 0)


def build_world(*, ether=40):
    """Alice: 10 ETH of collateral, long 40 ETH at 2,000. Bob: the other side, and offers more."""
    network = build_network()
    network.deposit(10 * ETH)
    ctx = network.hub.ctx
    deposit(ctx, BOB, 500_000)
    place(ctx, BOB, SELL, (ether + 10) * ETHER, 200_000)
    place(ctx, ALICE, BUY, ether * ETHER, 200_000)
    ctx.events.clear()
    return ctx


def get_margin(ctx, owner=ALICE):
    account = accounts.require_account(ctx, AccountId(owner, 0))
    return margin.compute_account_margin(ctx, account)


def take_state(ctx):
    return {
        store: list(ctx.kv(store).iterate())
        for store in ("accounts", "markets", "oracle", "collateral", "bank")
    }


def simulate(ctx, owner=ALICE, **fields):
    return queries.query_simulate(ctx, pb.QuerySimulateRequest(owner=owner, **fields))


def test_a_simulation_is_what_the_chain_then_does_and_writes_nothing():
    ctx = build_world()
    before = take_state(ctx)
    answer = simulate(ctx, orders=[f"{MARKET},buy,{3 * ETHER},{2_000 * WAD}"])
    assert take_state(ctx) == before
    assert ctx.events == []
    (order,) = answer.orders
    assert (order.filled_quantums, order.refusal) == (str(3 * ETHER), "")
    place(ctx, ALICE, BUY, 3 * ETHER, 200_000)
    done = get_margin(ctx)
    assert answer.after.equity_uusd == str(done.equity_uusd)
    assert answer.after.initial_uusd == str(done.initial_uusd)
    assert answer.before.maintenance_uusd != answer.after.maintenance_uusd


def test_an_order_that_would_be_refused_says_why():
    ctx = build_world()
    buy = f"{MARKET},buy,{900 * ETHER},{2_000 * WAD}"
    refused, cut = simulate(ctx, orders=[f"{MARKET},buy,1,{2_000 * WAD}", buy]).orders
    assert refused.refusal
    assert refused.filled_quantums == ""
    assert (cut.filled_quantums, cut.resting_quantums) == (str(10 * ETHER), "0")
    assert "margin" in cut.ended_because


def test_deposits_cash_and_moves_add_up():
    ctx = build_world()
    richer = simulate(ctx, cash_uusd=str(7 * USD), deposits=[f"alpha,{DENOM},{5 * ETH}"])
    assert int(richer.after.cash_uusd) == int(richer.before.cash_uusd) + 7 * USD
    assert int(richer.after.collateral_uusd) > int(richer.before.collateral_uusd) * 14 // 10
    poorer = simulate(ctx, moves=["ETH,-200000,0"])
    change = int(poorer.after.unrealised_uusd) - int(poorer.before.unrealised_uusd)
    assert change == -40 * 400 * USD
    shaken = simulate(ctx, moves=["ETH,0,500000"])
    assert int(shaken.after.maintenance_uusd) > int(shaken.before.maintenance_uusd)
    assert shaken.withdrawal_refusal == ""
    assert "1.25" in poorer.withdrawal_refusal or "initial" in poorer.withdrawal_refusal


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"deposits": ["alpha,aeth"]}, InvalidRequest),
        ({"deposits": [f"alpha,{DENOM},{10**6 * ETH}"]}, CapExceeded),
        ({"deposits": [f"alpha,{DENOM},{-11 * ETH}"]}, ChainError),
        ({"deposits": [f"nowhere,{DENOM},1"]}, ChainError),
        ({"moves": ["ETH,-1000000,0"]}, InvalidRequest),
        ({"moves": ["ETH,1e5,0"]}, ChainError),
        ({"moves": ["DOGE,1,0"]}, InvalidRequest),
        ({"moves": ["ETH,1,0"] * 33}, InvalidRequest),
        ({"orders": [f"{MARKET},hold,1"]}, InvalidRequest),
        ({"orders": ["nothing,buy,1"]}, ChainError),
        ({"cash_uusd": "NaN"}, ChainError),
        ({"number": 128}, ChainError),
        ({"number": 5}, ChainError),
    ],
)
def test_bad_simulations_are_refused(fields, error):
    with pytest.raises(error):
        simulate(build_world(), **fields)


def test_the_worst_cell_of_the_matrix_is_marked_and_every_cell_is_the_margin_there():
    ctx = build_world()
    answer = queries.query_risk_matrix(ctx, pb.QueryRiskMatrixRequest(owner=ALICE))
    assert list(answer.assets) == ["ETH"]
    (worst,) = (cell for cell in answer.cells if cell.is_worst)
    assert int(worst.price_move_ppm) == min(queries.PRICE_MOVES_PPM)
    for cell in answer.cells:
        move = f"ETH,{cell.price_move_ppm},{cell.volatility_move_ppm}"
        after = simulate(ctx, moves=[move]).after
        assert cell.equity_uusd == after.equity_uusd
        assert cell.maintenance_uusd == after.maintenance_uusd
        assert cell.state == after.state
        excess = int(cell.equity_uusd) - int(cell.maintenance_uusd)
        assert excess >= int(worst.equity_uusd) - int(worst.maintenance_uusd)
    still = queries.query_risk_matrix(
        ctx, pb.QueryRiskMatrixRequest(owner=ALICE, price_moves=["0"], volatility_moves=["0"])
    )
    assert still.cells[0].equity_change_uusd == "0"
    assert still.cells[0].state == accounts_pb2.MARGIN_STATE_HEALTHY


def test_a_matrix_is_bounded():
    with pytest.raises(InvalidRequest):
        queries.query_risk_matrix(
            build_world(), pb.QueryRiskMatrixRequest(owner=ALICE, price_moves=["1"] * 36)
        )


def is_below_at(ctx, asset, price_wad, owner):
    child = ctx.branch()
    probing.set_price(child, asset, price_wad)
    found = get_margin(child, owner)
    return found.equity_uusd < found.maintenance_uusd


@pytest.mark.parametrize("owner", [ALICE, BOB])
def test_a_liquidation_price_is_exact_to_its_unit(owner):
    ctx = build_world(ether=60)
    request = pb.QueryLiquidationPricesRequest(owner=owner)
    answer = queries.query_liquidation_prices(ctx, request)
    assert not answer.is_liquidatable
    (row,) = answer.prices
    assert row.price_wad == str(2_000 * WAD)
    unit = 10**12
    if owner == ALICE:
        price, step = int(row.below_wad), unit
        assert row.above_wad == ""
        assert price < 2_000 * WAD
    else:
        price, step = int(row.above_wad), -unit
        assert row.below_wad == ""
        assert price > 2_000 * WAD
    assert is_below_at(ctx, "ETH", price, owner)
    assert not is_below_at(ctx, "ETH", price + step, owner)


def test_an_account_below_its_requirement_is_said_to_be():
    ctx = build_world(ether=60)
    probing.set_price(ctx, "ETH", 1_000 * WAD)
    answer = queries.query_liquidation_prices(ctx, pb.QueryLiquidationPricesRequest(owner=ALICE))
    assert answer.is_liquidatable
    assert answer.prices[0].below_wad == answer.prices[0].above_wad == ""


def test_utilisation_is_requirement_over_gross_and_silos_stand_alone():
    ctx = build_world()
    found = get_margin(ctx)
    answer = queries.query_utilisation(ctx, pb.QueryUtilisationRequest(owner=ALICE))
    gross = 20_000 * USD + max(0, found.cash_uusd)
    assert int(answer.gross_collateral_uusd) == gross
    assert int(answer.requirement_uusd) == found.maintenance_uusd
    assert int(answer.utilisation_ppm) == -(-found.maintenance_uusd * 10**6 // gross)
    alpha, home = answer.silos
    assert (alpha.chain_id, alpha.requirement_uusd) == ("alpha-1", "0")
    assert int(alpha.counted_uusd) == found.collateral_uusd
    # The position is on the hub, the collateral is not: alone, the hub would lack all of it.
    need = int(home.requirement_uusd) - int(home.counted_uusd)
    assert int(answer.siloed_shortfall_uusd) == need > 0


def test_an_empty_account_has_no_utilisation():
    ctx = build_world()
    accounts.open_account(ctx, AccountId(ALICE, 7))
    answer = queries.query_utilisation(ctx, pb.QueryUtilisationRequest(owner=ALICE, number=7))
    assert answer.utilisation_ppm == ""
    assert oracle.get_price(ctx, "ETH").price_wad == 2_000 * WAD


def test_greeks_are_of_positions_and_collateral_together():
    ctx = build_world()
    (row,) = greeks.query_greeks(ctx, pb.QueryGreeksRequest(owner=ALICE)).underlyings
    assert (row.asset, row.delta_wad) == ("ETH", str(40 * WAD))
    assert (row.collateral_delta_wad, row.venue_delta_wad) == (str(10 * WAD), "0")
    assert row.delta_uusd == str(50 * 2_000 * USD)
    assert row.gamma_wad == row.vega_wad == "0"
    # A dollar more moves gross value by the delta.
    moved = ctx.branch()
    probing.set_price(moved, "ETH", 2_001 * WAD)
    before, after = get_margin(ctx), get_margin(moved)
    gross = after.unrealised_uusd - before.unrealised_uusd
    gross += after.liens[0].value.value_uusd - before.liens[0].value.value_uusd
    assert gross == 50 * USD


def test_greeks_do_not_depend_on_the_margin_mode():
    ctx = build_world(ether=20)
    request = pb.QueryGreeksRequest(owner=ALICE)
    before = greeks.query_greeks(ctx, request)
    account = accounts.require_account(ctx, ACCOUNT)
    account.margin_mode = MarginMode.PORTFOLIO
    accounts.set_account(ctx, account)
    assert greeks.query_greeks(ctx, request) == before
