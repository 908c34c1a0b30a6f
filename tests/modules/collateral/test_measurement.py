"""Haircuts of many liens: what they share is read once and comes out as if read for each."""

from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId, LienKey
from chain.modules.collateral import measurement, state
from chain.runtime.gas import GasMeter
from tests.modules.margin_network import ALICE, ETH, build_network

LIENS = 4


def build_liens():
    """A hub on which one account holds one asset under several denoms of a route."""
    network = build_network()
    network.deposit(10 * ETH)
    ctx = network.hub.ctx
    account_id = AccountId(ALICE, 0)
    key = next(iter(accounts.require_account(ctx, account_id).liens))
    for index in range(1, LIENS):
        listing = state.require_listing(ctx, key.route_id, key.denom)
        listing.denom = f"denom{index}"
        state.set_listing(ctx, listing)
        lien = LienKey(key.chain_id, listing.denom, key.vault, key.route_id)
        accounts.credit_lien(ctx, account_id, lien, index * ETH)
    return ctx, accounts.require_account(ctx, account_id)


def test_shared_reads_change_no_haircut():
    ctx, account = build_liens()
    shared = measurement.SharedReads()
    assert len(account.liens) == LIENS
    for lien, amount in account.liens.items():
        alone = measurement.get_lien_haircut(ctx, ALICE, lien, amount)
        assert measurement.get_lien_haircut(ctx, ALICE, lien, amount, shared) == alone
        assert alone.size_weight_ppm
        assert alone.security_ppm


def test_a_further_lien_costs_little():
    ctx, account = build_liens()

    def compute_gas(count: int) -> int:
        child = ctx.branch()
        child.gas = GasMeter()
        account.liens = dict(sorted(liens.items())[:count])
        margin.compute_account_margin(child, account)
        return child.gas.used

    liens = account.liens
    none, one, all_of_them = compute_gas(0), compute_gas(1), compute_gas(LIENS)
    assert (all_of_them - one) * 2 < (one - none) * (LIENS - 1)


def test_an_unlisted_denom_and_an_unknown_route_count_nothing():
    ctx, account = build_liens()
    known = next(iter(account.liens))
    shared = measurement.SharedReads()
    for lien in (known._replace(denom="other"), known._replace(route_id="nowhere")):
        factors = measurement.get_lien_haircut(ctx, ALICE, lien, ETH, shared)
        assert (factors.asset, factors.recognized_amount) == ("", 0)
