"""Accounts: numbers, module accounts, addresses, queries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain._pb.cosmos.auth.v1beta1 import auth_pb2, query_pb2
from chain.modules.auth import state
from chain.modules.auth.types import FEE_COLLECTOR, module_address
from chain.runtime.address import (
    compute_account_address,
    decode_address,
    decode_foreign_address,
    encode_address,
)
from chain.runtime.context import Context
from chain.runtime.errors import InvalidAddress
from chain.runtime.store import Branch, EmptyState
from tests.support.testchain import TestChain


@given(st.binary(min_size=20, max_size=20) | st.binary(min_size=32, max_size=32))
def test_addresses_round_trip(raw: bytes) -> None:
    text = encode_address(raw)
    assert text.startswith("margin1")
    assert decode_address(text) == raw


@given(st.binary(min_size=20, max_size=20), st.integers(7, 44), st.sampled_from("qpzry9x8"))
def test_one_changed_character_is_noticed(raw: bytes, position: int, letter: str) -> None:
    text = encode_address(raw)
    changed = text[:position] + letter + text[position + 1 :]
    if changed != text:
        with pytest.raises(InvalidAddress):
            decode_address(changed)


def test_address_of_a_known_key() -> None:
    key = bytes.fromhex("02e0383503f8eedb699201cbf92ad40eb095f5d477bffb7d7c919c2a767c4cd13a")
    ours = decode_address(compute_account_address(key))
    # The same key on a Cosmos SDK chain.
    assert ours == decode_foreign_address("cosmos13w0ljhrv2fnn45l4yvv8e9wztmspj2q5c5ekvs", "cosmos")


def test_numbers_ascend_and_stay() -> None:
    ctx = Context("x-1", 1, 1, Branch(EmptyState()))
    first, second = module_address("a"), module_address("b")
    state.ensure_account(ctx, first)
    state.ensure_account(ctx, second)
    state.ensure_account(ctx, first)
    numbers = [state.get_account(ctx, address).account_number for address in (first, second)]
    assert numbers == [0, 1]


def test_account_queries() -> None:
    chain = TestChain()
    chain.next_block()
    path = "/cosmos.auth.v1beta1.Query/"
    alice = chain.account("alice")
    response = chain.query(
        path + "Account",
        query_pb2.QueryAccountRequest(address=alice.address),
        query_pb2.QueryAccountResponse,
    )
    assert response.account.type_url == "/cosmos.auth.v1beta1.BaseAccount"
    account = auth_pb2.BaseAccount.FromString(response.account.value)
    assert (account.address, account.account_number) == (alice.address, alice.number)
    response = chain.query(
        path + "Account",
        query_pb2.QueryAccountRequest(address=module_address(FEE_COLLECTOR)),
        query_pb2.QueryAccountResponse,
    )
    assert response.account.type_url == "/cosmos.auth.v1beta1.ModuleAccount"
    info = chain.query(
        path + "AccountInfo",
        query_pb2.QueryAccountInfoRequest(address=module_address(FEE_COLLECTOR)),
        query_pb2.QueryAccountInfoResponse,
    )
    assert info.info.address == module_address(FEE_COLLECTOR)
    listed = chain.query(
        path + "Accounts", query_pb2.QueryAccountsRequest(), query_pb2.QueryAccountsResponse
    )
    assert len(listed.accounts) == 2
    prefix = chain.query(
        path + "Bech32Prefix", query_pb2.Bech32PrefixRequest(), query_pb2.Bech32PrefixResponse
    )
    assert prefix.bech32_prefix == "margin"
