import pytest

from chain._pb.margin.packet.v1 import packet_pb2
from chain._pb.margin.vault.v1 import tx_pb2
from chain.errors import ChainError
from chain.ibc.router import Packet
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.modules.bank.errors import InsufficientFunds
from chain.modules.vault import errors, genesis, handlers, queries, state
from chain.modules.vault.types import MODULE_ADDRESS
from tests.modules.economy import ALICE, BOB, DAVE, deliver
from tests.modules.margin_network import (
    AUTHORITY,
    DENOM,
    ETH,
    assert_collateral_identity,
    build_hub,
    build_network,
    open_channel,
)


def balance(network, address):
    return bank.get_balance(network.spoke.ctx, address, DENOM)


def send_to_vault(network, body, channel_id="channel-0", sequence=77):
    """Hand the vault a packet with any message, as if it had been proven on a channel."""
    name = {
        packet_pb2.SeizeCollateral: "seize_collateral",
        packet_pb2.ReleaseCollateral: "release_collateral",
        packet_pb2.Heartbeat: "heartbeat",
    }[type(body)]
    packet = packet_pb2.MarginPacket(sender_time_ns=1, **{name: body})
    sent = Packet(
        sequence, "margin", "channel-0", "margin", channel_id, packet.SerializeToString(), None, 0
    )
    return packet_pb2.MarginAcknowledgement.FromString(network.spoke.receive(sent))


def seize(**changes):
    fields = {
        "seize_id": "seize-1",
        "owner": ALICE,
        "destination": packet_pb2.SEIZE_DESTINATION_WINNER,
        "receiver": DAVE,
        "denom": DENOM,
        "amount": str(ETH),
    }
    return packet_pb2.SeizeCollateral(**{**fields, **changes})


def test_a_lock_is_pending_then_under_lien():
    network = build_network()
    packet = network.lock(10 * ETH)
    assert state.get_totals(network.spoke.ctx) == {DENOM: (10 * ETH, 0)}
    assert network.relay(packet, network.spoke, network.hub).code == 0
    assert state.get_totals(network.spoke.ctx) == {DENOM: (0, 10 * ETH)}
    assert_collateral_identity(network)


def test_a_lock_that_times_out_is_refunded_to_the_unit():
    network = build_network()
    before = balance(network, BOB)
    packet = network.lock(10 * ETH + 1)
    network.spoke.time_out(packet)
    assert balance(network, BOB) == before
    assert state.get_totals(network.spoke.ctx) == {DENOM: (0, 0)}


def test_a_lock_over_the_cap_is_refunded_to_the_unit():
    network = build_network()
    before = balance(network, BOB)
    result = network.deposit(200 * ETH + 1)
    assert (result.codespace, result.code) == ("collateral", 7)
    assert balance(network, BOB) == before
    assert accounts.get_account(network.hub.ctx, AccountId(ALICE, 0)) is None
    lock = next(state.iterate_locks(network.spoke.ctx))
    assert (lock.refusal_codespace, lock.refusal_code) == ("collateral", 7)
    assert_collateral_identity(network)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount": "0"}, ChainError),
        ({"amount": "-1"}, ChainError),
        ({"amount": str(1 << 256)}, ChainError),
        ({"amount": str(2_000 * ETH)}, InsufficientFunds),
        ({"denom": "nothing"}, InsufficientFunds),
        ({"owner": "alice"}, ChainError),
        ({"account": 128}, errors.InvalidLock),
    ],
)
def test_bad_locks_are_refused_and_move_nothing(changes, error):
    network = build_network()
    fields = {"depositor": BOB, "owner": ALICE, "denom": DENOM, "amount": str(ETH), **changes}
    with pytest.raises(error):
        deliver(
            network.spoke.ctx,
            handlers.handle_lock_collateral,
            tx_pb2.MsgLockCollateral(**fields),
        )
    assert balance(network, BOB) == 1_000 * ETH
    assert network.spoke.collect() == []


def test_a_seizure_moves_collateral_once_whatever_is_repeated():
    network = build_network()
    network.deposit(10 * ETH)
    for sequence in (5, 6, 7):
        assert send_to_vault(network, seize(), sequence=sequence).code == 0
    assert balance(network, DAVE) == ETH
    assert state.get_totals(network.spoke.ctx) == {DENOM: (0, 9 * ETH)}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (seize(amount=str(10 * ETH + 1)), ("vault", 6)),
        (seize(owner=BOB), ("vault", 6)),
        (seize(account=1), ("vault", 6)),
        (seize(denom="other"), ("vault", 6)),
        (seize(amount="01"), ("units", 2)),
        (seize(destination=0), ("vault", 8)),
        (seize(destination=packet_pb2.SEIZE_DESTINATION_LOCAL_AUCTION), ("vault", 8)),
        (seize(receiver="nobody"), ("sdk", 7)),
        (seize(seize_id="s" * 65), ("vault", 11)),
    ],
)
def test_bad_orders_are_refused_by_code_and_move_nothing(body, code):
    network = build_network()
    network.deposit(10 * ETH)
    result = send_to_vault(network, body)
    assert (result.codespace, result.code) == code
    assert state.get_totals(network.spoke.ctx) == {DENOM: (0, 10 * ETH)}


def test_an_order_id_means_one_order():
    network = build_network()
    network.deposit(10 * ETH)
    assert send_to_vault(network, seize()).code == 0
    assert send_to_vault(network, seize(amount=str(2 * ETH))).code == 7
    assert balance(network, DAVE) == ETH


def test_the_treasury_gets_what_is_seized_for_it():
    network = build_network()
    network.deposit(10 * ETH)
    treasury = state.get_params(network.spoke.ctx).treasury_address
    body = seize(destination=packet_pb2.SEIZE_DESTINATION_TREASURY, receiver="")
    assert send_to_vault(network, body).code == 0
    assert balance(network, treasury) == ETH


def test_pending_collateral_cannot_be_seized():
    network = build_network()
    network.lock(10 * ETH)
    assert send_to_vault(network, seize()).code == 6


def test_a_second_hub_is_refused():
    network = build_network()
    with pytest.raises(errors.HubExists):
        handlers.handle_register_hub(
            network.spoke.ctx, tx_pb2.MsgRegisterHub(authority=AUTHORITY, hub=build_hub())
        )


def test_another_channel_commands_nothing():
    network = build_network()
    network.deposit(10 * ETH)
    open_channel(network.spoke.ctx, "hub-1", "channel-1")
    result = send_to_vault(network, seize(), channel_id="channel-1")
    assert (result.codespace, result.code) == ("vault", 4)
    assert send_to_vault(network, packet_pb2.Heartbeat(), channel_id="channel-1").code == 4
    assert balance(network, DAVE) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": "hub-2"},
        {"trusting_period_s": 1},
        {"trust_level_numerator": 2},
        {"client_id": "07-tendermint-9"},
        {"connection_id": "connection-9"},
    ],
)
def test_a_hub_that_is_not_as_stated_is_refused(changes):
    network = build_network()
    ctx = network.spoke.ctx
    open_channel(ctx, "hub-1", "channel-3")
    ctx.kv(state.STORE).delete(b"hub")
    with pytest.raises(errors.InvalidHub):
        handlers.handle_register_hub(
            ctx, tx_pb2.MsgRegisterHub(authority=AUTHORITY, hub=build_hub(**changes))
        )


def test_only_the_council_registers_a_hub():
    network = build_network()
    with pytest.raises(ChainError):
        handlers.handle_register_hub(
            network.spoke.ctx, tx_pb2.MsgRegisterHub(authority=BOB, hub=build_hub())
        )


def test_genesis_round_trip_and_the_bank_must_agree():
    network = build_network()
    network.deposit(3 * ETH)
    network.lock(ETH)
    send_to_vault(network, seize())
    exported = genesis.export_genesis(network.spoke.ctx)
    with network.spoke.ctx.branch() as child:
        for key, _ in list(child.kv(state.STORE).iterate()):
            child.kv(state.STORE).delete(key)
        genesis.init_genesis(child, exported)
        assert genesis.export_genesis(child) == exported
        bank.move(child, MODULE_ADDRESS, BOB, DENOM, 1)
        with pytest.raises(ChainError):
            genesis.init_genesis(child, exported)


def test_queries_show_locks_and_totals():
    network = build_network()
    for _ in range(3):
        network.lock(ETH)
    ctx = network.spoke.ctx
    request = queries.query_pb2.QueryLocksRequest(owner=ALICE, limit=2)
    page = queries.query_locks(ctx, request).locks
    assert [lock.amount for lock in page] == [str(ETH)] * 2
    rest = queries.query_locks(
        ctx, queries.query_pb2.QueryLocksRequest(owner=ALICE, start_after=page[-1].lock_id)
    ).locks
    assert len(rest) == 1
    (total,) = queries.query_totals(ctx, queries.query_pb2.QueryTotalsRequest()).totals
    assert total.pending == total.bank_balance == str(3 * ETH)
