import pytest

from chain._pb.margin.insurance.v1 import tx_pb2
from chain.errors import ChainError
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.modules.insurance import genesis, handlers, queries, state
from tests.modules.economy import ALICE, BOB, USD, assert_identities, deposit
from tests.modules.margin_network import build_network

DEBTOR = AccountId(ALICE, 0)


def build(insurance_usd=1_000):
    return build_network(insurance_usd=insurance_usd).hub.ctx


def ledger(ctx):
    return list(state.iterate_entries(ctx))


def test_funding_moves_coins_and_is_recorded():
    ctx = build()
    before = bank.get_balance(ctx, BOB, "uusd")
    message = tx_pb2.MsgFundInsurance(sender=BOB, amount_uusd=str(5 * USD))
    response = handlers.handle_fund_insurance(ctx, message)
    assert response.balance_uusd == str(1_005 * USD)
    assert bank.get_balance(ctx, BOB, "uusd") == before - 5 * USD
    assert ledger(ctx)[-1].balance_uusd == str(1_005 * USD)


@pytest.mark.parametrize("amount", ["0", "-1", "", "1.5", str(10**30)])
def test_bad_amounts_are_refused(amount):
    ctx = build()
    with pytest.raises(ChainError):
        handlers.handle_fund_insurance(ctx, tx_pb2.MsgFundInsurance(sender=BOB, amount_uusd=amount))
    assert state.get_balance(ctx) == 1_000 * USD


def test_at_most_half_of_the_fund_is_paid_in_a_day():
    ctx = build()
    accounts.open_account(ctx, DEBTOR)
    assert state.cover_account(ctx, DEBTOR, 300 * USD) == 300 * USD
    assert state.get_payable(ctx) == 200 * USD
    assert state.cover_account(ctx, DEBTOR, 300 * USD) == 200 * USD
    assert state.cover_account(ctx, DEBTOR, 300 * USD) == 0
    ctx.time_ns += 24 * 3_600 * 10**9
    assert state.get_payable(ctx) == 250 * USD
    assert_identities(ctx)


def test_every_movement_is_in_the_ledger_and_the_last_entry_is_the_balance():
    ctx = build()
    accounts.open_account(ctx, DEBTOR)
    deposit(ctx, BOB, 100)
    state.cover_account(ctx, DEBTOR, 10 * USD)
    state.pay_keeper(ctx, BOB, USD)
    bank.move(ctx, BOB, state.MODULE_ADDRESS, "uusd", 7)
    state.record_swept_fees(ctx)
    state.record_swept_fees(ctx)
    rows = ledger(ctx)
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert int(rows[-1].balance_uusd) == state.get_balance(ctx)
    page = queries.query_ledger(
        ctx, queries.query_pb2.QueryLedgerRequest(start_after=2, limit=1)
    ).entries
    assert [row.number for row in page] == [3]
    fund = queries.query_fund(ctx, queries.query_pb2.QueryFundRequest())
    assert int(fund.balance_uusd) == state.get_balance(ctx)


def test_deficits_are_remembered_until_paid():
    ctx = build()
    state.set_deficit(ctx, DEBTOR, 5)
    assert state.get_deficit(ctx, DEBTOR) == 5
    exported = genesis.export_genesis(ctx)
    for key, _ in list(ctx.kv(state.STORE).iterate()):
        ctx.kv(state.STORE).delete(key)
    genesis.init_genesis(ctx, exported)
    assert genesis.export_genesis(ctx) == exported
    state.set_deficit(ctx, DEBTOR, 0)
    assert not list(state.iterate_deficits(ctx))
