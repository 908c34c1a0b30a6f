import json

import pytest

from chain._pb.ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from chain._pb.margin.collateral.v1 import collateral_pb2, tx_pb2
from chain.errors import ChainError
from chain.ibc.apps.transfer import state as transfer
from chain.ibc.apps.transfer.denoms import Denom, Hop, compute_escrow_address
from chain.ibc.apps.transfer.errors import InvalidMemo
from chain.ibc.apps.transfer.handlers import handle_transfer
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId, LienKey
from chain.modules.bank import state as bank
from chain.modules.collateral import handlers, state
from chain.modules.collateral.errors import InvalidListing, InvalidRoute
from chain.modules.collateral.measurement import get_lien_haircut
from chain.modules.collateral.types import MODULE_ADDRESS
from chain.modules.collateral.vouchers import DepositInstruction, parse_deposit
from chain.risk.haircut import compute_path_security_ppm
from tests.modules.economy import ALICE, BOB, CAROL, deliver
from tests.modules.margin_network import AUTHORITY, ETH, build_listing
from tests.modules.voucher_network import (
    SUPPLY,
    VOUCHER,
    build_voucher_network,
    build_voucher_route,
)

ACCOUNT = AccountId(ALICE, 0)


def memo(owner=ALICE, account=0, **more):
    return json.dumps({"margin": {"deposit": {"owner": owner, "account": account}}, **more})


@pytest.fixture
def world():
    world = build_voucher_network()
    accounts.open_account(world.hub.ctx, ACCOUNT)
    return world


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "margin",
        "[]",
        '["margin"]',
        '{"margin":',
        '{"wasm":{"margin":{}}}',
        '{"Margin":{}}',
        '"{\\"margin\\":{}}"',
        '{"forward":{"receiver":"x"}}',
    ],
)
def test_other_memos_are_no_instruction(text):
    assert parse_deposit(text) is None


def test_an_instruction_reads_back():
    assert parse_deposit(memo(account=127)) == DepositInstruction(ALICE, 127)
    assert parse_deposit(" \n" + memo(note=[1, {}])) == DepositInstruction(ALICE, 0)


MALFORMED = [
    '{"margin":null}',
    '{"margin":{}}',
    '{"margin":[]}',
    '{"margin":"deposit"}',
    '{"margin":{"deposit":null}}',
    '{"margin":{"deposit":{}}}',
    '{"margin":{"withdraw":{"owner":"a","account":0}}}',
    '{"margin":{"deposit":{"owner":"a"}}}',
    '{"margin":{"deposit":{"account":0}}}',
    '{"margin":{"deposit":{"owner":1,"account":0}}}',
    '{"margin":{"deposit":{"owner":"a","account":"0"}}}',
    '{"margin":{"deposit":{"owner":"a","account":true}}}',
    '{"margin":{"deposit":{"owner":"a","account":-1}}}',
    '{"margin":{"deposit":{"owner":"a","account":0.0}}}',
    '{"margin":{"deposit":{"owner":"a","account":1e1}}}',
    '{"margin":{"deposit":{"owner":"a","account":128}}}',
    '{"margin":{"deposit":{"owner":"a","account":99999999999}}}',
    '{"margin":{"deposit":{"owner":"a","account":0,"account":1}}}',
    '{"margin":{"deposit":{"owner":"a","account":0,"more":1}}}',
    '{"margin":{"deposit":{"owner":"a","account":0}},"margin":{}}',
    '{"margin":{"deposit":{"owner":"a","account":0},"deposit":{}}}',
    '{"x":' + "[" * 70 + "]" * 70 + "}",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_instructions_are_refused(text):
    with pytest.raises(InvalidMemo):
        parse_deposit(text)


def test_a_transfer_with_the_memo_is_a_lien_in_one_step(world):
    assert world.deposit(10 * ETH, memo()) == {"result": "AQ=="}
    lien = LienKey("simd-1", VOUCHER, "transfer", "simd")
    assert accounts.get_lien(world.hub.ctx, ACCOUNT, lien) == 10 * ETH
    assert bank.get_balance(world.hub.ctx, ALICE, VOUCHER) == 0
    factors = get_lien_haircut(world.hub.ctx, ALICE, lien, 10 * ETH)
    assert factors.asset == "ETH"
    world.assert_identities()


def test_a_transfer_without_the_memo_is_the_receivers(world):
    assert world.deposit(10 * ETH, '{"note":"margin"}') == {"result": "AQ=="}
    assert bank.get_balance(world.hub.ctx, ALICE, VOUCHER) == 10 * ETH
    assert world.liens == 0
    world.assert_identities()


def unlist(world):
    world.hub.ctx.kv("collateral").delete(b"\x04simd\x00" + VOUCHER.encode())


def unregister(world):
    world.hub.ctx.kv("collateral").delete(b"\x02channel-1")


def pause(world):
    message = tx_pb2.MsgPauseRoute(sender=AUTHORITY, route_id="simd")
    deliver(world.hub.ctx, handlers.handle_pause_route, message)


@pytest.mark.parametrize(
    ("instruction", "amount", "change", "code"),
    [
        pytest.param(memo(account=5), ETH, None, 2, id="unknown account"),
        pytest.param(memo(owner=CAROL), ETH, None, 9, id="owner is not the receiver"),
        pytest.param(memo(owner="x"), ETH, None, 9, id="owner is no address"),
        pytest.param(memo(), ETH, unlist, 6, id="not listed"),
        pytest.param(memo(), ETH, unregister, 2, id="not a route"),
        pytest.param(memo(), ETH, pause, 5, id="paused"),
        pytest.param(memo(), 201 * ETH, None, 7, id="over a cap"),
        pytest.param(memo(), 1, None, 8, id="below the minimum"),
        pytest.param(MALFORMED[0], ETH, None, 11, id="malformed"),
    ],
)
def test_a_deposit_that_cannot_be_made_is_refunded_to_the_unit(
    world, instruction, amount, change, code
):
    if change is not None:
        change(world)
    answer = world.deposit(amount, instruction)
    expected = f"ABCI code: {code}: error handling packet: see events for details"
    assert answer == {"error": expected}
    assert world.get_source_balance() == SUPPLY
    assert bank.get_supply(world.hub.ctx, VOUCHER) == 0
    assert bank.get_balance(world.hub.ctx, ALICE, VOUCHER) == 0


def test_a_token_that_comes_home_is_no_collateral(world):
    hub, source = world.hub.ctx, world.source.ctx
    abroad = Denom("uusd").with_hop("transfer", "channel-0")
    transfer.set_denom(source, abroad)
    bank.mint(source, BOB, abroad.local_denom, 5)
    bank.mint(hub, compute_escrow_address("transfer", "channel-1"), "uusd", 5)
    transfer.set_total_escrow(hub, "uusd", 5)
    answer = world.deposit(5, memo(), denom=abroad.local_denom)
    assert "code: 3" in answer["error"]
    assert bank.get_balance(source, BOB, abroad.local_denom) == 5


def test_a_withdrawal_sends_the_voucher_home(world):
    world.deposit(10 * ETH, memo())
    packet = world.withdraw(4 * ETH, CAROL)
    assert world.liens == 6 * ETH
    world.assert_identities()
    assert world.relay(packet, world.hub, world.source) == {"result": "AQ=="}
    assert world.get_source_balance(CAROL) == 4 * ETH
    assert not list(state.iterate_flights(world.hub.ctx))
    assert sum(state.get_measurements(world.hub.ctx, "simd").histogram.counts) == 1
    world.assert_identities()


@pytest.mark.parametrize("outcome", ["refused", "timeout"])
def test_a_withdrawal_that_does_not_arrive_restores_the_lien(world, outcome):
    world.deposit(10 * ETH, memo())
    packet = world.withdraw(4 * ETH, MODULE_ADDRESS)
    if outcome == "refused":
        assert "error" in world.relay(packet, world.hub, world.source)
    else:
        world.hub.time_out(packet)
    assert world.liens == 10 * ETH
    assert bank.get_balance(world.hub.ctx, MODULE_ADDRESS, VOUCHER) == 10 * ETH
    assert not list(state.iterate_flights(world.hub.ctx))
    world.assert_identities()


def test_nobody_else_can_settle_an_order_by_naming_it(world):
    world.deposit(10 * ETH, memo())
    world.deposit(1 * ETH, "")
    world.withdraw(4 * ETH)
    (flight,) = state.iterate_flights(world.hub.ctx)

    deliver(
        world.hub.ctx,
        handle_transfer,
        transfer_tx.MsgTransfer(
            source_port="transfer",
            source_channel="channel-1",
            token={"denom": VOUCHER, "amount": "1"},
            sender=ALICE,
            receiver=BOB,
            timeout_timestamp=world.hub.ctx.time_ns + 10**12,
            memo=f"{flight.flight_id} 1",
        ),
    )
    packet = world.hub.collect()[-1]
    world.relay(packet, world.hub, world.source)
    assert [f.flight_id for f in state.iterate_flights(world.hub.ctx)] == [flight.flight_id]


@pytest.mark.parametrize("receiver", ["", "x", "cosmos18hhjs9p2lfch27w2v33s6492dqks7dkj4q5xfp"])
def test_a_withdrawal_goes_to_an_address_of_the_other_chain(world, receiver):
    world.deposit(10 * ETH, memo())
    with pytest.raises(ChainError):
        world.withdraw(4 * ETH, receiver)
    assert world.liens == 10 * ETH


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": collateral_pb2.ROUTE_KIND_VAULT, "vault": "main"},
        {"kind": collateral_pb2.ROUTE_KIND_VAULT, "vault": "main", "address_prefix": ""},
        {"address_prefix": ""},
        {"address_prefix": "Cosmos"},
        {"vault": "main"},
        {"kind": 7},
        {"channel_id": "channel-0"},
        {"chain_id": "alpha-1"},
    ],
)
def test_a_voucher_route_runs_over_a_transfer_channel(changes):
    world = build_voucher_network()
    world.hub.ctx.kv("collateral").delete(b"\x02channel-1")
    route = build_voucher_route(**{"route_id": "other", **changes})
    with pytest.raises(ChainError) as caught:
        handlers.handle_register_route(
            world.hub.ctx, tx_pb2.MsgRegisterRoute(authority=AUTHORITY, route=route)
        )
    assert type(caught.value).__name__ in ("InvalidRoute", "RouteExists", "ChannelNotFound")


@pytest.mark.parametrize("denom", ["aeth", "ibc/12", VOUCHER.lower(), VOUCHER.replace("ibc/", "")])
def test_only_vouchers_are_listed_on_a_voucher_route(world, denom):
    listing = build_listing(route_id="simd", denom=denom)
    with pytest.raises(InvalidListing):
        handlers.handle_set_listing(
            world.hub.ctx, tx_pb2.MsgSetListing(authority=AUTHORITY, listing=listing)
        )


def test_every_further_hop_is_a_further_factor(world):
    ctx = world.hub.ctx
    route = state.require_route(ctx, "simd")
    near = Denom("aeth", (Hop("transfer", "channel-1"),))
    far = Denom("aeth", (*near.trace, Hop("transfer", "channel-4"), Hop("transfer", "channel-5")))
    factors = []
    for denom in (near, far):
        transfer.set_denom(ctx, denom)
        state.set_listing(ctx, build_listing(route_id="simd", denom=denom.local_denom))
        lien = state.compute_lien_key(route, denom.local_denom)
        factors.append(get_lien_haircut(ctx, ALICE, lien, ETH).security_ppm)
    hop = state.get_params(ctx).voucher_hop_haircut_ppm
    assert factors[1] == compute_path_security_ppm(factors[0], hop, 2) > factors[0]


@pytest.mark.parametrize(
    ("route", "hop", "hops", "expected"),
    [
        (5_000, 20_000, 0, 5_000),
        (5_000, 20_000, 1, 24_900),
        (5_000, 20_000, 2, 44_402),
        (1_000_000, 0, 3, 1_000_000),
        (0, 1_000_000, 1, 1_000_000),
        (0, 333_333, 10**9, 1_000_000),
        (7, 0, 10**9, 7),
    ],
)
def test_hops_multiply_and_round_against_the_holder(route, hop, hops, expected):
    assert compute_path_security_ppm(route, hop, hops) == expected


def test_a_route_error_names_the_rule():
    with pytest.raises(InvalidRoute, match="no vault"):
        handlers.validate_route(build_voucher_route(vault="main"))
