import pytest

from chain._pb.ibc.applications.transfer.v1 import genesis_pb2, query_pb2, tx_pb2
from chain.errors import ChainError
from chain.ibc.apps.transfer import genesis, queries, state
from chain.ibc.apps.transfer.denoms import Denom, Hop, compute_escrow_address
from chain.ibc.apps.transfer.errors import (
    DenomNotFound,
    InvalidDenom,
    InvalidMemo,
    InvalidPacketTimeout,
    InvalidTransferAddress,
    InvalidTransferAmount,
    SendDisabled,
)
from chain.ibc.apps.transfer.handlers import WHOLE_BALANCE, build_messages, handle_transfer
from chain.ibc.apps.transfer.packet_data import decode_packet_data
from chain.ibc.errors import (
    ChannelNotFound,
    InvalidIdentifier,
    InvalidMessage,
    TimeoutElapsed,
    Unauthorized,
)
from chain.modules.bank import state as bank
from chain.modules.bank.errors import InsufficientFunds
from chain.runtime.errors import InvalidCoins, InvalidGenesis, InvalidRequest, NotFound
from tests.ibc.apps.transfer.world import NOW_NS, TIMEOUT_NS, TransferWorld

VOUCHER = Denom("uatom").with_hop("transfer", "channel-0")
ESCROW = compute_escrow_address("transfer", "channel-0")


@pytest.fixture
def world():
    world = TransferWorld()
    alice = world.get_address("alice")
    world.fund(alice, "umargin", 100)
    world.fund(alice, VOUCHER.local_denom, 100)
    state.set_denom(world.ctx, VOUCHER)
    return world


def build_message(world, **changes):
    fields = {
        "source_port": "transfer",
        "source_channel": "channel-0",
        "token": {"denom": "umargin", "amount": "40"},
        "sender": world.get_address("alice"),
        "receiver": "cosmos1x",
        "timeout_timestamp": TIMEOUT_NS,
        "memo": "hello",
    }
    return tx_pb2.MsgTransfer(**{**fields, **changes})


def send(world, **changes):
    response = handle_transfer(world.ctx, build_message(world, **changes))
    (event,) = [event for event in world.ctx.events if event.type == "send_packet"]
    packet_data = bytes.fromhex(dict(event.attributes)["packet_data_hex"])
    return response.sequence, decode_packet_data(packet_data)


def test_a_native_token_goes_into_escrow(world):
    sequence, data = send(world)
    assert (sequence, data.denom, data.amount, data.memo) == (1, Denom("umargin"), 40, "hello")
    assert bank.get_balance(world.ctx, ESCROW, "umargin") == 40
    assert bank.get_supply(world.ctx, "umargin") == 100
    request = query_pb2.QueryTotalEscrowForDenomRequest(denom="umargin")
    assert queries.query_total_escrow_for_denom(world.ctx, request).amount.amount == "40"
    assert "ibc_transfer" in [event.type for event in world.ctx.events]


def test_a_voucher_going_home_is_burned_and_one_going_on_is_not(world):
    token = {"denom": VOUCHER.local_denom, "amount": "40"}
    _, data = send(world, token=token)
    assert data.denom == VOUCHER
    assert bank.get_supply(world.ctx, VOUCHER.local_denom) == 60
    world.ctx.events.clear()
    send(world, token=token, source_channel="channel-1")
    assert bank.get_supply(world.ctx, VOUCHER.local_denom) == 60
    escrow = compute_escrow_address("transfer", "channel-1")
    assert bank.get_balance(world.ctx, escrow, VOUCHER.local_denom) == 40


def test_the_greatest_amount_means_all_there_is(world):
    _, data = send(world, token={"denom": "umargin", "amount": str(WHOLE_BALANCE)})
    assert data.amount == 100


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"timeout_timestamp": 0}, InvalidPacketTimeout),
        ({"timeout_timestamp": NOW_NS}, TimeoutElapsed),
        ({"source_port": "margin"}, ChannelNotFound),
        ({"source_port": "!"}, InvalidIdentifier),
        ({"source_channel": "channel-9"}, ChannelNotFound),
        ({"source_channel": ""}, InvalidIdentifier),
        ({"encoding": "application/x-protobuf"}, InvalidMessage),
        ({"token": {"denom": "umargin", "amount": "0"}}, InvalidCoins),
        ({"token": {"denom": "umargin", "amount": "010"}}, InvalidCoins),
        ({"token": {"denom": "u", "amount": "1"}}, InvalidCoins),
        ({"token": {}}, InvalidCoins),
        ({"token": {"denom": "umargin", "amount": "101"}}, InsufficientFunds),
        ({"token": {"denom": "nothing", "amount": str(WHOLE_BALANCE)}}, InvalidTransferAmount),
        ({"token": {"denom": "ibc/" + "0" * 64, "amount": "1"}}, DenomNotFound),
        ({"token": {"denom": VOUCHER.local_denom.lower(), "amount": "1"}}, DenomNotFound),
        ({"token": {"denom": "ibc/xyz", "amount": "1"}}, DenomNotFound),
        ({"token": {"denom": "transfer/channel-0/x", "amount": "1"}}, InvalidDenom),
        ({"receiver": " "}, InvalidTransferAddress),
        ({"receiver": "r" * 2_049}, InvalidTransferAddress),
        ({"memo": "m" * 32_769}, InvalidMemo),
    ],
)
def test_one_bad_field_is_refused_and_nothing_is_taken(world, changes, error):
    before = world.get_balances()
    with pytest.raises(error), world.ctx.branch() as branch:
        handle_transfer(branch, build_message(world, **changes))
    assert world.get_balances() == before


def test_sending_can_be_switched_off_by_the_authority_alone(world):
    update = build_messages(lambda _: "council")[1].handler
    message = tx_pb2.MsgUpdateParams(signer="council", params={"receive_enabled": True})
    with pytest.raises(Unauthorized):
        update(world.ctx, tx_pb2.MsgUpdateParams(signer="alice", params=message.params))
    update(world.ctx, message)
    with pytest.raises(SendDisabled):
        send(world)


def test_queries_answer_about_vouchers(world):
    ctx = world.ctx
    for text in (VOUCHER.local_denom, VOUCHER.hash.hex()):
        denom = queries.query_denom(ctx, query_pb2.QueryDenomRequest(hash=text)).denom
        assert Denom.from_proto(denom) == VOUCHER
    (row,) = queries.query_denom_traces(ctx, query_pb2.QueryDenomTracesRequest()).denom_traces
    assert (row.path, row.base_denom) == ("transfer/channel-0", "uatom")
    assert len(queries.query_denoms(ctx, query_pb2.QueryDenomsRequest()).denoms) == 1
    request = query_pb2.QueryDenomHashRequest(trace="transfer/channel-0/uatom")
    assert queries.query_denom_hash(ctx, request).hash == VOUCHER.hash.hex().upper()
    address = queries.query_escrow_address(
        ctx, query_pb2.QueryEscrowAddressRequest(port_id="transfer", channel_id="channel-0")
    )
    assert address.escrow_address == ESCROW


def test_queries_refuse_what_they_cannot_answer(world):
    absent = query_pb2.QueryDenomTraceRequest(hash="0" * 64)
    with pytest.raises(NotFound):
        queries.query_denom_trace(world.ctx, absent)
    with pytest.raises(NotFound):
        queries.query_denom_hash(world.ctx, query_pb2.QueryDenomHashRequest(trace="x"))
    with pytest.raises(InvalidRequest):
        queries.query_denom(world.ctx, query_pb2.QueryDenomRequest(hash="x"))
    bad = query_pb2.QueryTotalEscrowForDenomRequest(denom="!")
    with pytest.raises(InvalidRequest):
        queries.query_total_escrow_for_denom(world.ctx, bad)


def test_an_exported_genesis_imports_to_itself(world):
    send(world)
    exported = genesis.export_genesis(world.ctx)
    ctx = TransferWorld().ctx
    bank.mint(ctx, world.get_address("alice"), "umargin", 100)
    genesis.init_genesis(ctx, exported)
    assert genesis.export_genesis(ctx) == exported
    assert exported.total_escrowed[0].amount == "40"


@pytest.mark.parametrize(
    "change",
    [
        genesis_pb2.GenesisState(port_id="other"),
        genesis_pb2.GenesisState(denoms=[Denom("x").to_proto()]),
        genesis_pb2.GenesisState(denoms=[VOUCHER.to_proto()] * 2),
        genesis_pb2.GenesisState(denoms=[Denom("x", (Hop("!", "channel-0"),)).to_proto()]),
        genesis_pb2.GenesisState(total_escrowed=[{"denom": "umargin", "amount": "1"}]),
    ],
)
def test_a_bad_genesis_is_refused(change):
    with pytest.raises(ChainError) as caught:
        genesis.init_genesis(TransferWorld().ctx, change)
    assert isinstance(caught.value, InvalidGenesis | InvalidDenom)
