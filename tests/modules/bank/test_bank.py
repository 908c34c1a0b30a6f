"""The bank: supply is the sum of balances whatever happens; MultiSend and its bounds."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chain._pb.cosmos.bank.v1beta1 import bank_pb2, query_pb2, tx_pb2
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain.errors import ChainError
from chain.modules.auth.types import module_address
from chain.modules.bank import state
from chain.modules.bank.errors import BalanceOverflow, InsufficientFunds
from chain.modules.bank.queries import query_total_supply
from chain.runtime.context import Context
from chain.runtime.store import Branch, EmptyState
from chain.units import AMOUNT_LIMIT
from tests.support.testchain import DENOM, TestChain

ADDRESSES = [module_address(f"user-{i}") for i in range(4)]
DENOMS = ["umargin", "uusd", "ibc/ABC"]
AMOUNTS = st.one_of(st.integers(0, 50), st.integers(0, AMOUNT_LIMIT), st.just(AMOUNT_LIMIT - 1))


def build_context() -> Context:
    return Context(chain_id="x-1", height=1, time_ns=1, store=Branch(EmptyState()))


class BankMachine(RuleBasedStateMachine):
    """Random mints, burns and moves, some in branches that are dropped, beside a plain model."""

    def __init__(self) -> None:
        super().__init__()
        self.ctx = build_context()
        self.model: dict[tuple[str, str], int] = {}

    def amount(self, address: str, denom: str) -> int:
        return self.model.get((address, denom), 0)

    @rule(
        address=st.sampled_from(ADDRESSES),
        denom=st.sampled_from(DENOMS),
        amount=AMOUNTS,
        ends_well=st.booleans(),
    )
    def mint(self, address: Any, denom: str, amount: int, *, ends_well: bool) -> None:
        supply = sum(value for (_, d), value in self.model.items() if d == denom)
        try:
            with self.ctx.branch() as child:
                state.mint(child, address, denom, amount)
                if not ends_well:
                    state.debit(child, address, "nosuch", 1)
        except BalanceOverflow:
            assert supply + amount >= AMOUNT_LIMIT
        except InsufficientFunds:
            assert not ends_well
        else:
            assert supply + amount < AMOUNT_LIMIT
            self.model[address, denom] = self.amount(address, denom) + amount

    @rule(address=st.sampled_from(ADDRESSES), denom=st.sampled_from(DENOMS), amount=AMOUNTS)
    def burn(self, address: Any, denom: str, amount: int) -> None:
        try:
            with self.ctx.branch() as child:
                state.burn(child, address, denom, amount)
        except InsufficientFunds:
            assert amount > self.amount(address, denom)
        else:
            self.model[address, denom] = self.amount(address, denom) - amount

    @rule(
        sender=st.sampled_from(ADDRESSES),
        receiver=st.sampled_from(ADDRESSES),
        denom=st.sampled_from(DENOMS),
        amount=AMOUNTS,
    )
    def move(self, sender: Any, receiver: Any, denom: str, amount: int) -> None:
        try:
            with self.ctx.branch() as child:
                state.move(child, sender, receiver, denom, amount)
        except InsufficientFunds:
            assert amount > self.amount(sender, denom)
        else:
            self.model[sender, denom] = self.amount(sender, denom) - amount
            self.model[receiver, denom] = self.amount(receiver, denom) + amount

    @invariant()
    def supply_is_the_sum(self) -> None:
        assert state.find_broken_supply(self.ctx) is None
        for (address, denom), amount in self.model.items():
            assert state.get_balance(self.ctx, address, denom) == amount
        rows = {(a, d): n for a, d, n in state.get_balances(self.ctx)}
        assert rows == {key: amount for key, amount in self.model.items() if amount}


TestBankMachine = BankMachine.TestCase
TestBankMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_broken_supply_is_found() -> None:
    ctx = build_context()
    state.mint(ctx, ADDRESSES[0], "uusd", 5)
    state.credit(ctx, ADDRESSES[1], "uusd", 1)
    assert state.find_broken_supply(ctx) == ("uusd", 5, 6)


def test_denom_prefixes_do_not_mix() -> None:
    ctx = build_context()
    state.mint(ctx, ADDRESSES[0], "abc", 5)
    state.mint(ctx, ADDRESSES[0], "abcd", 7)
    assert state.get_balance(ctx, ADDRESSES[0], "abc") == 5
    assert dict(state.get_supplies(ctx)) == {"abc": 5, "abcd": 7}


def coin(amount: int, denom: str = DENOM) -> coin_pb2.Coin:
    return coin_pb2.Coin(denom=denom, amount=str(amount))


def multi_send(chain: TestChain) -> tx_pb2.MsgMultiSend:
    return tx_pb2.MsgMultiSend(
        inputs=[bank_pb2.Input(address=chain.accounts["alice"].address, coins=[coin(12)])],
        outputs=[
            bank_pb2.Output(address=chain.accounts["bob"].address, coins=[coin(5)]),
            bank_pb2.Output(address=chain.account("carol").address, coins=[coin(7)]),
        ],
    )


@pytest.fixture(scope="module")
def chain() -> TestChain:
    chain = TestChain()
    chain.next_block()
    return chain


def test_multi_send(chain: TestChain) -> None:
    bob = chain.balance("bob")
    chain.must_send(multi_send(chain))
    assert chain.balance("bob") == bob + 5
    assert chain.balance("carol") == 7
    assert chain.account("carol").number > 0  # The first coin opened the account.


def test_multi_send_refusals(chain: TestChain) -> None:
    before = chain.balance("bob")
    more = multi_send(chain)
    more.outputs[0].coins[0].amount = "6"
    assert chain.send(more).code == 18
    two = multi_send(chain)
    two.inputs.add(address=chain.accounts["bob"].address, coins=[coin(1)])
    assert chain.send(two, "alice,bob").code == 18
    none = multi_send(chain)
    del none.outputs[:]
    assert chain.send(none).code == 18
    many = multi_send(chain)
    many.outputs.extend([many.outputs[0]] * 500)
    assert chain.send(many, gas_limit=10**8).code == 18
    empty = multi_send(chain)
    del empty.outputs[1].coins[:]
    assert chain.send(empty).code == 10
    poor = multi_send(chain)
    poor.inputs[0].coins[0].amount = str(10**20)
    poor.outputs[0].coins[0].amount = str(10**20 - 7)
    assert chain.send(poor).code == 5
    assert chain.balance("bob") == before


def test_send_to_oneself_changes_nothing(chain: TestChain) -> None:
    before = chain.balance("alice")
    message = tx_pb2.MsgSend(
        from_address=chain.accounts["alice"].address,
        to_address=chain.accounts["alice"].address,
        amount=[coin(before - 1000)],
    )
    chain.must_send(message)
    assert chain.balance("alice") == before - 1000
    assert state.find_broken_supply(chain.read_context()) is None


def test_queries(chain: TestChain) -> None:
    path = "/cosmos.bank.v1beta1.Query/"
    alice = chain.accounts["alice"].address
    all_balances = chain.query(
        path + "AllBalances",
        query_pb2.QueryAllBalancesRequest(address=alice),
        query_pb2.QueryAllBalancesResponse,
    )
    assert [c.denom for c in all_balances.balances] == [DENOM]
    spendable = chain.query(
        path + "SpendableBalances",
        query_pb2.QuerySpendableBalancesRequest(address=alice),
        query_pb2.QuerySpendableBalancesResponse,
    )
    assert spendable.balances == all_balances.balances
    supply = chain.query(
        path + "SupplyOf",
        query_pb2.QuerySupplyOfRequest(denom=DENOM),
        query_pb2.QuerySupplyOfResponse,
    )
    assert int(supply.amount.amount) == 2 * 10**12
    params = chain.query(
        path + "Params", query_pb2.QueryParamsRequest(), query_pb2.QueryParamsResponse
    )
    assert params.params.default_send_enabled
    with pytest.raises(ChainError, match="not a valid denom"):
        chain.query(
            path + "Balance",
            query_pb2.QueryBalanceRequest(address=alice, denom="!"),
            query_pb2.QueryBalanceResponse,
        )
    with pytest.raises(ChainError, match="key not found"):
        chain.query(
            path + "DenomMetadata",
            query_pb2.QueryDenomMetadataRequest(denom="nosuch"),
            query_pb2.QueryDenomMetadataResponse,
        )


def test_pages() -> None:
    ctx = build_context()
    for index in range(10):
        state.mint(ctx, ADDRESSES[0], f"denom{index}", index + 1)
    for reverse in (False, True):
        seen: list[str] = []
        request = query_pb2.QueryTotalSupplyRequest()
        request.pagination.limit = 3
        request.pagination.reverse = reverse
        while True:
            response = query_total_supply(ctx, request)
            seen += [c.denom for c in response.supply]
            if not response.pagination.next_key:
                break
            request.pagination.key = response.pagination.next_key
        assert seen == sorted((f"denom{i}" for i in range(10)), reverse=reverse)
    request = query_pb2.QueryTotalSupplyRequest()
    request.pagination.offset = 8
    request.pagination.count_total = True
    response = query_total_supply(ctx, request)
    assert [c.denom for c in response.supply] == ["denom8", "denom9"]
    assert response.pagination.total == 10
    request.pagination.key = b"denom1"
    with pytest.raises(ChainError, match="not both"):
        query_total_supply(ctx, request)
