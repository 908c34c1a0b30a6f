"""The solvency ratio of the whole and of each route if its liens were lost (row 7)."""

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain._pb.margin.collateral.v1 import query_pb2
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.collateral import genesis, hooks, queries, solvency, state
from chain.modules.insurance import state as insurance
from chain.modules.params.state import set_params
from tests.modules.economy import ALICE, BOB, BUY, ETHER, SELL, USD, advance, deposit, place
from tests.modules.margin_network import ETH, build_network

ACCOUNT = AccountId(ALICE, 0)


def build_world(*, ether=60, insurance_usd=0):
    network = build_network(insurance_usd=insurance_usd)
    network.deposit(10 * ETH)
    ctx = network.hub.ctx
    deposit(ctx, BOB, 500_000)
    place(ctx, BOB, SELL, ether * ETHER, 200_000)
    place(ctx, ALICE, BUY, ether * ETHER, 200_000)
    ctx.events.clear()
    return ctx


def get_ratios(ctx):
    response = queries.query_solvency(ctx, query_pb2.QuerySolvencyRequest())
    return {ratio.sums.route_id: ratio for ratio in response.ratios}


def events(ctx):
    return [dict(e.attributes)["route_id"] for e in ctx.events if e.type == "solvency_ratio_low"]


def test_sums_are_those_of_every_account():
    ctx = build_world(insurance_usd=7)
    hooks.end_block(ctx)
    alice, bob = (
        margin.compute_account_margin(ctx, accounts.require_account(ctx, AccountId(owner, 0)))
        for owner in (ALICE, BOB)
    )
    report = state.get_solvency_report(ctx)
    assert (report.accounts, report.insurance_uusd) == (2, str(7 * USD))
    whole, route = report.sums
    assert int(whole.equity_uusd) == alice.equity_uusd + bob.equity_uusd
    assert whole.shortfall_uusd == "0"
    # Without the route Alice has her position and fees paid, and nothing else.
    bare = alice.equity_uusd - alice.collateral_uusd
    assert bare < 0
    assert int(route.equity_uusd) == bob.equity_uusd
    assert int(route.shortfall_uusd) == alice.maintenance_uusd - bare
    assert get_ratios(ctx)[""].ratio_ppm == ""


def test_an_event_fires_once_when_the_ratio_of_a_route_falls_below_one():
    ctx = build_world()
    bob = AccountId(BOB, 0)
    hooks.end_block(ctx)
    assert events(ctx) == []
    # Bob's cash is what stands beside the route; all but a little of it leaves.
    account = accounts.require_account(ctx, bob)
    account.cash_uusd = 1_000 * USD
    accounts.set_account(ctx, account)
    insurance.set_deficit(ctx, bob, 10 * USD)
    advance(ctx)
    hooks.end_block(ctx)
    assert "alpha" in events(ctx)
    ratio = int(get_ratios(ctx)["alpha"].ratio_ppm)
    assert 0 <= ratio < 1_000_000
    count = len(events(ctx))
    advance(ctx)
    hooks.end_block(ctx)
    assert len(events(ctx)) == count
    account.cash_uusd = 500_000 * USD
    accounts.set_account(ctx, account)
    advance(ctx)
    hooks.end_block(ctx)
    assert int(get_ratios(ctx)["alpha"].ratio_ppm) >= 1_000_000


def test_a_pass_in_pieces_says_the_same():
    ctx = build_world()
    for number in range(1, 8):
        deposit(ctx, BOB, 10, number=number)
    whole = ctx.branch()
    solvency.visit_next_accounts(whole)
    expected = state.get_solvency_report(whole)
    params = pb.Params()
    params.CopyFrom(state.get_params(ctx))
    params.solvency_accounts_max = 2
    set_params(ctx, "collateral", params)
    blocks = 0
    while state.get_solvency_report(ctx) is None:
        solvency.visit_next_accounts(ctx)
        exported = genesis.export_genesis(ctx)
        assert exported.HasField("solvency_pass") == (state.get_solvency_pass(ctx) is not None)
        blocks += 1
    assert blocks == 5
    found = state.get_solvency_report(ctx)
    assert (found.sums, found.accounts) == (expected.sums, 9)


def test_before_the_first_pass_there_is_nothing_to_say():
    assert get_ratios(build_world()) == {}
