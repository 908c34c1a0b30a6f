"""Clients between two chains: updates, expiry, freezing, recovery, and headers that lie."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain._pb.ibc.core.connection.v1 import tx_pb2 as connection_tx
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain.ibc.channel.handlers import SUCCESS
from chain.ibc.client import state as client_state
from chain.ibc.errors import ClientNotActive
from chain.ibc.height import Height
from chain.runtime.router import pack
from tests.support.headers import TestBlock, TestValidatorSet
from tests.twochain.chain import TxRefused
from tests.twochain.path import DAY_S, Coordinator, Endpoint, Path, get_events


def refused(action: Callable[[], Any]) -> tuple[str, int]:
    with pytest.raises(TxRefused) as caught:
        action()
    return caught.value.code


@pytest.fixture
def clients(coordinator: Coordinator) -> Path:
    path = coordinator.create_echo_path()
    path.create_clients()
    return path


def build_fork(endpoint: Endpoint, **changes: Any) -> TestBlock:
    """The counterparty's last block with another header, signed by its real validators."""
    block = endpoint.counterparty.chain.latest_block
    return block.resign(lambda header: replace(header, **changes))


def build_misbehaviour(
    endpoint: Endpoint, first: TestBlock, second: TestBlock
) -> tendermint_pb2.Misbehaviour:
    return tendermint_pb2.Misbehaviour(
        client_id=endpoint.client_id,
        header_1=endpoint.build_header(first),
        header_2=endpoint.build_header(second),
    )


def test_update_moves_the_client(clients: Path) -> None:
    before = clients.a.get_client_height()
    clients.a.update_client()
    after = clients.a.get_client_height()
    assert after == clients.b.chain.latest_height > before
    result = clients.a.chain.blocks[-1].results[0]
    (updated,) = get_events(result.events, "update_client")
    taken = AnyMessage.FromString(bytes.fromhex(updated.pop("header")))
    header = tendermint_pb2.Header.FromString(taken.value)
    assert header.signed_header.header.height == after.revision_height
    assert updated == {
        "client_id": "07-tendermint-0",
        "client_type": "07-tendermint",
        "consensus_height": str(after),
        "consensus_heights": str(after),
        "msg_index": "0",
    }
    assert {"module": "ibc_client", "msg_index": "0"} in get_events(result.events, "message")


def test_skipping_and_older_headers_fill_gaps(clients: Path) -> None:
    trusted = clients.a.get_client_height()
    for _ in range(5):
        clients.b.chain.next_block()
    clients.a.chain.deliver(clients.a.build_update())
    older = clients.b.chain.headers.at(trusted.revision_height + 2)
    clients.a.chain.deliver(clients.a.build_update(clients.a.build_header(older, trusted=trusted)))
    ctx = clients.a.chain.read_context()
    heights = list(client_state.iterate_consensus_heights(ctx, clients.a.client_id))
    assert [h.revision_height for h in heights] == [
        trusted.revision_height,
        trusted.revision_height + 2,
        clients.b.chain.height,
    ]
    assert clients.a.get_client_height() == clients.b.chain.latest_height


def test_repeated_header_changes_nothing(clients: Path) -> None:
    trusted = clients.a.get_client_height()
    clients.b.chain.next_block()
    message = clients.a.build_update(clients.a.build_header(trusted=trusted))
    clients.a.chain.deliver(message)
    ctx = clients.a.chain.read_context()
    processed = client_state.get_processed(ctx, "07-tendermint-0", clients.b.chain.latest_height)
    clients.a.chain.deliver(message)
    ctx = clients.a.chain.read_context()
    assert (
        client_state.get_processed(ctx, "07-tendermint-0", clients.b.chain.latest_height)
        == processed
    )
    assert clients.a.get_status() == "Active"


def test_validators_rotate_step_by_step(coordinator: Coordinator) -> None:
    path = coordinator.create_echo_path()
    path.create_clients()
    headers = path.b.chain.headers
    path.b.chain.next_block()
    stranger = TestValidatorSet.create([100, 100, 100, 100], "stranger")
    trusted = path.a.get_client_height()
    time_ns = coordinator.clock.now_ns
    headers.append(time_ns=time_ns + 1, next_validators=stranger)
    last = headers.append(time_ns=time_ns + 2)
    coordinator.advance(1)
    far = path.a.build_update(path.a.build_header(last, trusted=trusted))
    with pytest.raises(TxRefused, match="too little trusted power"):
        path.a.chain.deliver(far)
    near = path.a.build_header(headers.blocks[-2], trusted=trusted)
    path.a.chain.deliver(path.a.build_update(near))
    path.a.chain.deliver(path.a.build_update(path.a.build_header(last)))
    assert path.a.get_client_height().revision_height == last.header.height


# Headers that lie --------------------------------------------------------------------------------


def test_header_signed_by_too_little_power_is_refused(clients: Path) -> None:
    clients.b.chain.next_block()
    block = clients.b.chain.latest_block
    commit = block.validators.sign_commit(block.header, absent={0, 1})
    weak = replace(block, signed_header=replace(block.signed_header, commit=commit))
    message = clients.a.build_update(clients.a.build_header(weak))
    assert refused(lambda: clients.a.chain.deliver(message)) == ("lightclient", 18)
    assert clients.a.get_status() == "Active"


def test_header_of_strangers_is_refused(clients: Path) -> None:
    for _ in range(2):
        clients.b.chain.next_block()
    strangers = TestValidatorSet.create([10, 10, 10, 10], "stranger")
    real = clients.b.chain.latest_block
    header = replace(real.header, validators_hash=strangers.hash)
    forged = TestBlock(
        replace(real.signed_header, header=header, commit=strangers.sign_commit(header)),
        strangers,
        strangers,
    )
    message = clients.a.build_update(clients.a.build_header(forged))
    assert refused(lambda: clients.a.chain.deliver(message)) == ("client", 12)


@pytest.mark.parametrize(
    ("break_header", "codespace"),
    [
        (lambda h: h.signed_header.ClearField("commit"), "lightclient"),
        (lambda h: h.signed_header.ClearField("header"), "lightclient"),
        (lambda h: h.ClearField("signed_header"), "lightclient"),
        (lambda h: h.ClearField("validator_set"), "lightclient"),
        (lambda h: h.ClearField("trusted_validators"), "lightclient"),
        (lambda h: h.trusted_validators.validators.pop(), "lightclient"),
        (lambda h: setattr(h.trusted_height, "revision_height", 999), "07-tendermint"),
        (lambda h: setattr(h.trusted_height, "revision_height", 2), "client"),
        (lambda h: setattr(h.trusted_height, "revision_number", 0), "07-tendermint"),
        (lambda h: setattr(h.signed_header.header, "app_hash", b"x" * 32), "lightclient"),
        (lambda h: setattr(h.signed_header.header, "chain_id", "gamma-1"), "lightclient"),
        (
            lambda h: setattr(h.validator_set.validators[0], "voting_power", -1),
            "lightclient",
        ),
        (
            lambda h: setattr(h.validator_set.validators[0], "voting_power", (1 << 63) - 1),
            "lightclient",
        ),
    ],
)
def test_broken_header_is_refused(
    clients: Path, break_header: Callable[[Any], None], codespace: str
) -> None:
    for _ in range(2):
        clients.b.chain.next_block()
    header = clients.a.build_header()
    break_header(header)
    assert refused(lambda: clients.a.chain.deliver(clients.a.build_update(header)))[0] == codespace
    assert clients.a.get_status() == "Active"


def test_header_from_the_future_is_refused(clients: Path, coordinator: Coordinator) -> None:
    coordinator.advance(3_600)
    clients.b.chain.next_block()
    message = clients.a.build_update()
    coordinator.clock.now_ns = clients.a.chain.time_ns
    assert refused(lambda: clients.a.chain.deliver(message)) == ("lightclient", 8)


def test_messages_of_another_type_are_refused(clients: Path) -> None:
    message = clients.a.build_update(clients.a.build_consensus_state())
    assert refused(lambda: clients.a.chain.deliver(message)) == ("ibc", 14)
    unknown = clients.a.build_update()
    unknown.client_message.type_url = "/ibc.lightclients.solomachine.v3.Header"
    with pytest.raises(TxRefused):
        clients.a.chain.deliver(unknown)


# Misbehaviour ------------------------------------------------------------------------------------


def test_second_header_of_a_height_freezes(clients: Path) -> None:
    trusted = clients.a.get_client_height()
    clients.a.update_client()
    fork = build_fork(clients.a, app_hash=b"f" * 32)
    result = clients.a.chain.deliver(
        clients.a.build_update(clients.a.build_header(fork, trusted=trusted))
    )
    assert clients.a.get_status() == "Frozen"
    assert get_events(result.events, "client_misbehaviour")[0]["client_id"] == "07-tendermint-0"


def test_time_that_does_not_grow_freezes(clients: Path) -> None:
    trusted = clients.a.get_client_height()
    for _ in range(3):
        clients.b.chain.next_block()
    clients.a.chain.deliver(clients.a.build_update(clients.a.build_header(trusted=trusted)))
    middle = clients.b.chain.headers.at(trusted.revision_height + 1)
    late = middle.resign(
        lambda header: replace(header, time_ns=clients.b.chain.latest_block.header.time_ns)
    )
    clients.a.chain.deliver(clients.a.build_update(clients.a.build_header(late, trusted=trusted)))
    assert clients.a.get_status() == "Frozen"


@pytest.mark.parametrize("message_name", ["update", "submit"])
def test_equivocation_freezes(clients: Path, message_name: str) -> None:
    clients.b.chain.next_block()
    evidence = build_misbehaviour(
        clients.a, clients.b.chain.latest_block, build_fork(clients.a, data_hash=b"d" * 32)
    )
    message: Any = clients.a.build_update(evidence)
    if message_name == "submit":
        message = client_tx.MsgSubmitMisbehaviour(
            client_id=clients.a.client_id,
            misbehaviour=pack(evidence),
            signer=clients.a.signer,
        )
    clients.a.chain.deliver(message)
    assert clients.a.get_status() == "Frozen"


def test_equal_headers_are_no_misbehaviour(clients: Path) -> None:
    clients.b.chain.next_block()
    block = clients.b.chain.latest_block
    clients.a.chain.deliver(clients.a.build_update(build_misbehaviour(clients.a, block, block)))
    assert clients.a.get_status() == "Active"


def test_evidence_by_too_little_power_is_refused(clients: Path) -> None:
    clients.b.chain.next_block()
    fork = build_fork(clients.a, data_hash=b"d" * 32)
    commit = fork.validators.sign_commit(fork.header, absent={0, 1})
    weak = replace(fork, signed_header=replace(fork.signed_header, commit=commit))
    evidence = build_misbehaviour(clients.a, clients.b.chain.latest_block, weak)
    message = clients.a.build_update(evidence)
    assert refused(lambda: clients.a.chain.deliver(message)) == ("lightclient", 18)
    assert clients.a.get_status() == "Active"


# Clients that prove nothing ----------------------------------------------------------------------


def freeze(endpoint: Endpoint) -> None:
    trusted = endpoint.get_client_height()
    endpoint.update_client()
    fork = build_fork(endpoint, app_hash=b"f" * 32)
    endpoint.chain.deliver(endpoint.build_update(endpoint.build_header(fork, trusted=trusted)))


def test_frozen_client_stops_the_channel(path: Path) -> None:
    packet = path.a.send_packet(b"hello")
    message = path.b.build_recv(packet)
    freeze(path.b)
    assert refused(lambda: path.b.chain.deliver(message)) == ("client", 29)
    assert refused(path.b.update_client) == ("client", 29)
    with pytest.raises(ClientNotActive):
        path.b.send_packet(b"hello")


def test_expired_client_stops_the_channel(path: Path, coordinator: Coordinator) -> None:
    packet = path.a.send_packet(b"hello", timeout_s=30 * DAY_S)
    message = path.b.build_recv(packet)
    coordinator.advance(14 * DAY_S)
    path.b.chain.next_block()
    assert path.b.get_status() == "Expired"
    assert refused(lambda: path.b.chain.deliver(message)) == ("client", 29)
    assert refused(path.b.update_client) == ("client", 29)


def test_expired_states_are_forgotten_one_an_update(
    clients: Path, coordinator: Coordinator
) -> None:
    oldest = clients.a.get_client_height()
    coordinator.advance(10 * DAY_S)
    clients.a.update_client()
    coordinator.advance(5 * DAY_S)
    clients.a.update_client()
    ctx = clients.a.chain.read_context()
    assert client_state.get_consensus_state(ctx, clients.a.client_id, oldest) is None
    assert client_state.get_processed(ctx, clients.a.client_id, oldest) is None
    assert clients.a.get_status() == "Active"


def test_council_recovers_a_client(path: Path, coordinator: Coordinator) -> None:
    packet = path.a.send_packet(b"hello", timeout_s=30 * DAY_S)
    subject = path.b.client_id
    coordinator.advance(14 * DAY_S)
    for end in (path.a, path.b):
        end.chain.next_block()
    substitute = path.b.create_client()
    path.b.client_id = subject
    recover = client_tx.MsgRecoverClient(
        subject_client_id=subject, substitute_client_id=substitute, signer=path.b.signer
    )
    stranger = client_tx.MsgRecoverClient()
    stranger.CopyFrom(recover)
    stranger.signer = path.b.chain.account("bob").address
    assert refused(lambda: path.b.chain.deliver(stranger, signer="bob")) == ("ibc", 2)
    path.b.chain.deliver(recover)
    assert path.b.get_status() == "Active"
    assert refused(lambda: path.b.chain.deliver(recover)) == ("client", 24)
    assert path.b.recv(packet) == b"echo:hello"


def test_substitute_must_match(path: Path) -> None:
    freeze(path.b)
    path.a.chain.next_block()
    path.b.client_config.trust_level = (2, 3)
    subject = path.b.client_id
    substitute = path.b.create_client()
    message = client_tx.MsgRecoverClient(
        subject_client_id=subject, substitute_client_id=substitute, signer=path.b.signer
    )
    assert refused(lambda: path.b.chain.deliver(message)) == ("client", 27)


def test_council_chooses_allowed_clients(clients: Path) -> None:
    message = client_tx.MsgUpdateParams(
        signer=clients.a.signer, params=client_pb2.Params(allowed_clients=["06-solomachine"])
    )
    clients.a.chain.deliver(message)
    assert refused(clients.a.create_client) == ("client", 10)
    assert refused(clients.a.update_client) == ("client", 10)
    message.params.ClearField("allowed_clients")
    assert refused(lambda: clients.a.chain.deliver(message)) == ("ibc", 8)


def test_council_sets_the_expected_block_time(clients: Path) -> None:
    message = connection_tx.MsgUpdateParams(
        signer=clients.a.signer,
        params=connection_pb2.Params(max_expected_time_per_block=5_000_000_000),
    )
    clients.a.chain.deliver(message)
    message.params.max_expected_time_per_block = 0
    assert refused(lambda: clients.a.chain.deliver(message)) == ("ibc", 8)
    message.signer = clients.a.chain.account("bob").address
    assert refused(lambda: clients.a.chain.deliver(message, signer="bob")) == ("ibc", 2)


# Creation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda c: setattr(c, "chain_id", ""), ("07-tendermint", 2)),
        (lambda c: setattr(c, "chain_id", "x" * 51), ("07-tendermint", 2)),
        (lambda c: setattr(c, "chain_id", "beta-2"), ("07-tendermint", 5)),
        (lambda c: setattr(c.latest_height, "revision_height", 0), ("07-tendermint", 5)),
        (lambda c: setattr(c.trust_level, "denominator", 0), ("lightclient", 2)),
        (lambda c: setattr(c.trust_level, "numerator", 0), ("lightclient", 2)),
        (lambda c: setattr(c.trust_level, "denominator", 4), ("lightclient", 2)),
        (lambda c: setattr(c.trusting_period, "seconds", 0), ("07-tendermint", 3)),
        (lambda c: setattr(c.trusting_period, "seconds", 21 * DAY_S), ("07-tendermint", 3)),
        (lambda c: setattr(c.trusting_period, "nanos", -1), ("07-tendermint", 3)),
        (lambda c: setattr(c.unbonding_period, "seconds", 1 << 40), ("07-tendermint", 4)),
        (lambda c: setattr(c.max_clock_drift, "seconds", -1), ("07-tendermint", 7)),
        (lambda c: c.ClearField("proof_specs"), ("07-tendermint", 13)),
        (lambda c: c.proof_specs[0].ClearField("inner_spec"), ("commitment", 3)),
        (lambda c: c.proof_specs.extend([c.proof_specs[0]] * 7), ("07-tendermint", 13)),
        (
            lambda c: c.proof_specs[0].inner_spec.child_order.extend(range(2, 17)),
            ("07-tendermint", 13),
        ),
        (lambda c: setattr(c.proof_specs[0], "max_depth", 513), ("07-tendermint", 13)),
        # Inner prefixes that may swallow a child: one proof, two trees.
        (
            lambda c: setattr(c.proof_specs[0].inner_spec, "max_prefix_length", 64),
            ("commitment", 3),
        ),
        (lambda c: c.upgrade_path.append(" "), ("client", 3)),
        (lambda c: setattr(c.frozen_height, "revision_height", 1), ("client", 29)),
    ],
)
def test_unsafe_client_is_not_created(
    coordinator: Coordinator, change: Callable[[Any], None], code: tuple[str, int]
) -> None:
    path = coordinator.create_echo_path()
    client = path.a.build_client_state()
    change(client)
    message = path.a.build_create_client()
    message.client_state.CopyFrom(pack(client))
    assert refused(lambda: path.a.chain.deliver(message)) == code
    assert client_state.get_next_client_sequence(path.a.chain.read_context()) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda c: setattr(c.root, "hash", b"x"),
        lambda c: setattr(c, "next_validators_hash", b""),
        lambda c: setattr(c.timestamp, "seconds", 0),
        lambda c: setattr(c.timestamp, "nanos", 10**9),
    ],
)
def test_consensus_state_no_header_gives_is_refused(
    coordinator: Coordinator, change: Callable[[Any], None]
) -> None:
    path = coordinator.create_echo_path()
    consensus = path.a.build_consensus_state()
    change(consensus)
    message = path.a.build_create_client()
    message.consensus_state.CopyFrom(pack(consensus))
    assert refused(lambda: path.a.chain.deliver(message)) == ("client", 8)


def test_client_of_an_old_header_is_not_created(coordinator: Coordinator) -> None:
    path = coordinator.create_echo_path()
    message = path.a.build_create_client()
    coordinator.advance(14 * DAY_S)
    assert refused(lambda: path.a.chain.deliver(message)) == ("client", 29)


def test_client_events(coordinator: Coordinator) -> None:
    path = coordinator.create_echo_path()
    result = path.a.chain.deliver(path.a.build_create_client())
    assert get_events(result.events, "create_client") == [
        {
            "client_id": "07-tendermint-0",
            "client_type": "07-tendermint",
            "consensus_height": str(Height(1, 1)),
            "msg_index": "0",
        }
    ]


def test_frozen_counterparty_can_still_be_acknowledged_after_recovery(path: Path) -> None:
    packet = path.a.send_packet(b"hello")
    acknowledgement = path.b.recv(packet)
    freeze(path.a)
    subject = path.a.client_id
    path.b.chain.next_block()
    substitute = path.a.create_client()
    path.a.client_id = subject
    path.a.chain.deliver(
        client_tx.MsgRecoverClient(
            subject_client_id=subject, substitute_client_id=substitute, signer=path.a.signer
        )
    )
    assert path.a.acknowledge(packet, acknowledgement) == SUCCESS
