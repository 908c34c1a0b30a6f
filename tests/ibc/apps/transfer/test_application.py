import pytest

from chain.ibc.apps.transfer import state
from chain.ibc.apps.transfer.application import TransferApplication, TransferHooks
from chain.ibc.apps.transfer.denoms import Denom, Hop, compute_escrow_address
from chain.ibc.apps.transfer.errors import (
    InvalidMemo,
    InvalidTransferAddress,
    InvalidVersion,
    ReceiveDisabled,
)
from chain.ibc.apps.transfer.packet_data import SUCCESS, TransferData, encode_error
from chain.ibc.errors import (
    InvalidAcknowledgement,
    InvalidChannelOrdering,
    InvalidMessage,
    Unauthorized,
)
from chain.ibc.router import ORDER_ORDERED, ORDER_UNORDERED, ChannelOpening
from chain.modules.auth.types import module_address
from chain.modules.bank import state as bank
from chain.modules.bank.errors import BalanceOverflow, InsufficientFunds
from tests.ibc.apps.transfer.world import Transfer, TransferWorld

APPLICATION = TransferApplication()
ATOM = Denom("uatom")
VOUCHER = ATOM.with_hop("transfer", "channel-0")
RETURNING = Denom("umargin", (Hop("transfer", "channel-5"),))
ESCROW = compute_escrow_address("transfer", "channel-0")


@pytest.fixture
def world():
    return TransferWorld()


def arrive(world, denom, amount=10, receiver="bob"):
    """A packet from the other chain's channel-5 to channel-0 here."""
    to = world.get_address(receiver) if receiver.isalpha() else receiver
    data = TransferData(denom, amount, "cosmos1x", to)
    return world.build_packet(Transfer("transfer", "channel-5", "transfer", "channel-0", data))


def leave(world, denom, amount=10):
    """A packet that alice sent from channel-0 here."""
    data = TransferData(denom, amount, world.get_address("alice"), "cosmos1x")
    return world.build_packet(Transfer("transfer", "channel-0", "transfer", "channel-5", data))


def opening(**changes):
    fields = {
        "ordering": ORDER_UNORDERED,
        "connection_id": "connection-0",
        "port_id": "transfer",
        "channel_id": "channel-0",
        "counterparty_port_id": "transfer",
        "counterparty_channel_id": "",
        "version": "ics20-1",
    }
    return ChannelOpening(**{**fields, **changes})


def test_an_arriving_token_becomes_a_voucher(world):
    assert APPLICATION.on_recv_packet(world.ctx, arrive(world, ATOM), "r") == SUCCESS
    bob = world.get_address("bob")
    assert world.get_balances() == {(bob, VOUCHER.local_denom): 10}
    assert bank.get_supply(world.ctx, VOUCHER.local_denom) == 10
    assert state.get_denom(world.ctx, VOUCHER.hash) == VOUCHER
    metadata = bank.get_metadata(world.ctx, VOUCHER.local_denom)
    assert (metadata.display, metadata.symbol) == ("transfer/channel-0/uatom", "UATOM")
    kinds = [event.type for event in world.ctx.events]
    assert kinds.count("fungible_token_packet") == 1
    assert {"denomination", "coinbase", "transfer"} <= set(kinds)


def test_a_returning_token_leaves_escrow(world):
    world.fund(ESCROW, "umargin", 30)
    state.set_total_escrow(world.ctx, "umargin", 30)
    APPLICATION.on_recv_packet(world.ctx, arrive(world, RETURNING), "r")
    assert bank.get_balance(world.ctx, world.get_address("bob"), "umargin") == 10
    assert bank.get_balance(world.ctx, ESCROW, "umargin") == 20
    assert state.get_total_escrow(world.ctx, "umargin") == 20
    assert bank.get_supply(world.ctx, "umargin") == 30


def test_a_counterparty_cannot_return_more_than_it_was_sent(world):
    world.fund(ESCROW, "umargin", 9)
    world.fund(compute_escrow_address("transfer", "channel-1"), "umargin", 100)
    with pytest.raises(InsufficientFunds):
        APPLICATION.on_recv_packet(world.ctx, arrive(world, RETURNING), "r")


@pytest.mark.parametrize(
    ("receiver", "error"),
    [
        (module_address("transfer"), Unauthorized),
        ("cosmos18hhjs9p2lfch27w2v33s6492dqks7dkj4q5xfp", InvalidTransferAddress),
        ("margin1qqqq", InvalidTransferAddress),
    ],
)
def test_receivers_that_may_not_hold_tokens_are_refused(world, receiver, error):
    packet = arrive(world, ATOM, receiver=f"{receiver}")
    with pytest.raises(error):
        APPLICATION.on_recv_packet(world.ctx, packet, "r")


def test_a_supply_at_its_bound_is_refused(world):
    world.fund(world.get_address("carol"), VOUCHER.local_denom, 2**256 - 5)
    with pytest.raises(BalanceOverflow):
        APPLICATION.on_recv_packet(world.ctx, arrive(world, ATOM), "r")


def test_receiving_can_be_switched_off(world):
    params = state.build_default_params()
    params.receive_enabled = False
    state.PARAMS.set(world.ctx, params)
    with pytest.raises(ReceiveDisabled):
        APPLICATION.on_recv_packet(world.ctx, arrive(world, ATOM), "r")


@pytest.mark.parametrize("outcome", ["error", "timeout"])
@pytest.mark.parametrize(
    "denom", [VOUCHER, Denom("umargin"), ATOM.with_hop("transfer", "channel-1")]
)
def test_what_was_not_received_comes_back_to_the_sender(world, denom, outcome):
    if denom is not VOUCHER:
        world.fund(ESCROW, denom.local_denom, 10)
        state.set_total_escrow(world.ctx, denom.local_denom, 10)
    packet = leave(world, denom)
    if outcome == "error":
        answer = encode_error(InvalidMemo())
        APPLICATION.on_acknowledgement_packet(world.ctx, packet, answer, "r")
    else:
        APPLICATION.on_timeout_packet(world.ctx, packet, "r")
    assert world.get_balances() == {(world.get_address("alice"), denom.local_denom): 10}
    assert state.get_total_escrow(world.ctx, denom.local_denom) == 0
    assert bank.get_supply(world.ctx, denom.local_denom) == 10


def get_attributes(world, kind):
    (event,) = [event for event in world.ctx.events if event.type == kind]
    return event.attributes


@pytest.mark.parametrize(
    ("denom", "told"),
    [
        (ATOM, '{"base":"uatom","trace":null}'),
        (VOUCHER, '{"base":"uatom","trace":[{"port_id":"transfer","channel_id":"channel-0"}]}'),
        (Denom("a<b/1"), r'{"base":"a\u003cb/1","trace":null}'),
    ],
)
def test_a_timeout_says_what_ibc_go_says(world, denom, told):
    world.fund(ESCROW, denom.local_denom, 777)
    state.set_total_escrow(world.ctx, denom.local_denom, 777)
    APPLICATION.on_timeout_packet(world.ctx, leave(world, denom, 777), "r")
    assert get_attributes(world, "timeout") == (
        ("receiver", world.get_address("alice")),
        ("refund_tokens", f'{{"denom":{told},"amount":"777"}}'),
        ("memo", ""),
    )


def test_a_voucher_is_told_of_as_ibc_go_does(world):
    APPLICATION.on_recv_packet(world.ctx, arrive(world, Denom("uusd")), "r")
    assert get_attributes(world, "denomination") == (
        ("denom_hash", "6F4968A73F90CF7DE6394BF937D6DF7C7D162D74D839C13F53B41157D315E05F"),
        ("denom", '{"base":"uusd","trace":[{"port_id":"transfer","channel_id":"channel-0"}]}'),
    )


def test_a_success_keeps_what_was_sent(world):
    APPLICATION.on_acknowledgement_packet(world.ctx, leave(world, VOUCHER), SUCCESS, "r")
    assert world.get_balances() == {}


@pytest.mark.parametrize("answer", [b"{}", b'{"result":"AQ==" }', b"x"])
def test_a_malformed_answer_settles_nothing(world, answer):
    with pytest.raises(InvalidAcknowledgement):
        APPLICATION.on_acknowledgement_packet(world.ctx, leave(world, VOUCHER), answer, "r")
    assert world.get_balances() == {}


def test_hooks_hear_of_every_fate_and_may_refuse_a_receipt(world):
    heard = []

    def refuse(_, received):
        heard.append((received.denom.local_denom, received.relayer))
        raise InvalidMemo("not today")

    application = TransferApplication(
        TransferHooks(
            refuse,
            lambda _, sent, answer: heard.append((sent.data.amount, answer.error)),
            lambda _, sent: heard.append((sent.data.amount, "timeout")),
        )
    )
    with pytest.raises(InvalidMemo), world.ctx.branch() as branch:
        application.on_recv_packet(branch, arrive(world, ATOM), "r")
    assert (world.get_balances(), world.ctx.events) == ({}, [])
    application.on_acknowledgement_packet(world.ctx, leave(world, VOUCHER), SUCCESS, "r")
    application.on_timeout_packet(world.ctx, leave(world, VOUCHER), "r")
    assert heard == [(VOUCHER.local_denom, "r"), (10, None), (10, "timeout")]


def test_versions_and_orders_as_ibc_go_has_them(world):
    ctx = world.ctx
    assert APPLICATION.on_chan_open_init(ctx, opening(version=" ")) == "ics20-1"
    assert APPLICATION.on_chan_open_try(ctx, opening(version="ics20-2")) == "ics20-1"
    APPLICATION.on_chan_open_ack(ctx, "transfer", "channel-0", "channel-5", "ics20-1")
    with pytest.raises(InvalidVersion):
        APPLICATION.on_chan_open_init(ctx, opening(version="ics20-2"))
    with pytest.raises(InvalidVersion):
        APPLICATION.on_chan_open_ack(ctx, "transfer", "channel-0", "channel-5", "ics20-2")
    for step in (APPLICATION.on_chan_open_init, APPLICATION.on_chan_open_try):
        with pytest.raises(InvalidChannelOrdering):
            step(ctx, opening(ordering=ORDER_ORDERED))
    with pytest.raises(InvalidMessage):
        APPLICATION.on_chan_close_init(ctx, "transfer", "channel-0")
