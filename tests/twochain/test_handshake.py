"""Connections and channels between two chains: each step, and each step out of place."""

from collections.abc import Callable
from typing import Any

import pytest

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain._pb.ibc.core.connection.v1 import tx_pb2 as connection_tx
from chain.ibc import host
from chain.ibc.connection import state as connection_state
from chain.ibc.connection.versions import build_default_version
from chain.ibc.router import ORDER_ORDERED
from tests.support.echo import EchoApplication, get_count
from tests.twochain.chain import EchoChain, TxRefused
from tests.twochain.path import Coordinator, Endpoint, Path, get_events


def refused(action: Callable[[], Any]) -> tuple[str, int]:
    with pytest.raises(TxRefused) as caught:
        action()
    return caught.value.code


def get_connection(endpoint: Endpoint) -> connection_pb2.ConnectionEnd:
    ctx = endpoint.chain.read_context()
    return connection_state.get_connection(ctx, endpoint.connection_id)


def echo(endpoint: Endpoint) -> EchoApplication:
    assert isinstance(endpoint.chain, EchoChain)
    return endpoint.chain.echo


@pytest.fixture
def clients(coordinator: Coordinator) -> Path:
    path = coordinator.create_echo_path()
    path.create_clients()
    return path


@pytest.fixture
def connected(clients: Path) -> Path:
    clients.create_connections()
    return clients


def test_connection_opens_on_both_ends(connected: Path) -> None:
    for end in (connected.a, connected.b):
        connection = get_connection(end)
        assert connection.state == connection_pb2.STATE_OPEN
        assert list(connection.versions) == [build_default_version()]
        assert connection.counterparty.connection_id == end.counterparty.connection_id
        ctx = end.chain.read_context()
        assert connection_state.get_client_connections(ctx, end.client_id) == ("connection-0",)


def test_connection_events(clients: Path) -> None:
    path = clients
    path.a.conn_open_init()
    path.b.conn_open_try()
    result = path.b.chain.blocks[-1].results[0]
    assert get_events(result.events, "connection_open_try") == [
        {
            "connection_id": "connection-0",
            "client_id": "07-tendermint-0",
            "counterparty_client_id": "07-tendermint-0",
            "counterparty_connection_id": "connection-0",
            "msg_index": "0",
        }
    ]
    assert {"module": "ibc_connection", "msg_index": "0"} in get_events(result.events, "message")


def test_connection_steps_out_of_place_are_refused(clients: Path) -> None:
    path = clients
    path.a.conn_open_init()
    path.b.connection_id = "connection-0"
    # The counterparty has no connection yet: an absence where a presence must be.
    assert refused(path.a.conn_open_ack)[0] == "commitment"
    path.b.conn_open_try()
    assert refused(path.b.conn_open_confirm)[0] == "commitment"
    path.a.conn_open_ack()
    assert refused(path.a.conn_open_ack) == ("connection", 6)
    assert refused(path.a.conn_open_confirm) == ("connection", 6)
    path.b.conn_open_confirm()
    assert refused(path.b.conn_open_confirm) == ("connection", 6)


def test_connection_try_that_differs_from_the_proposal_is_refused(clients: Path) -> None:
    path = clients
    path.a.conn_open_init()
    path.b.delay_period_ns = 1
    assert refused(path.b.conn_open_try) == ("commitment", 2)


def _init(path: Path) -> connection_tx.MsgConnectionOpenInit:
    return connection_tx.MsgConnectionOpenInit(
        client_id=path.a.client_id,
        counterparty=path.a._counterparty_of_connection(),
        version=build_default_version(),
        signer=path.a.signer,
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda m: setattr(m, "client_id", "07-tendermint-9"), ("client", 29)),
        (lambda m: setattr(m, "client_id", "x"), ("host", 2)),
        (lambda m: setattr(m.version, "identifier", "2"), ("connection", 9)),
        (lambda m: m.version.ClearField("features"), ("connection", 9)),
        (lambda m: m.version.features.append("ORDER_DAG"), ("connection", 9)),
        (lambda m: m.counterparty.prefix.ClearField("key_prefix"), ("connection", 7)),
        (lambda m: setattr(m.counterparty.prefix, "key_prefix", bytes(257)), ("connection", 7)),
        (lambda m: setattr(m.counterparty, "connection_id", "connection-0"), ("connection", 7)),
        (lambda m: setattr(m.counterparty, "client_id", ""), ("host", 2)),
    ],
)
def test_bad_connection_proposal_is_refused(
    clients: Path, change: Callable[[Any], None], code: tuple[str, int]
) -> None:
    message = _init(clients)
    change(message)
    assert refused(lambda: clients.a.chain.deliver(message)) == code
    assert connection_state.get_next_connection_sequence(clients.a.chain.read_context()) == 0


def test_counterparty_with_fewer_features_narrows_the_connection(clients: Path) -> None:
    path = clients
    message = _init(path)
    message.version.features[:] = ["ORDER_UNORDERED"]
    path.a.chain.deliver(message)
    path.a.connection_id = "connection-0"
    proof = path.b.prove(host.connection_path("connection-0"))
    path.b.chain.deliver(
        connection_tx.MsgConnectionOpenTry(
            client_id=path.b.client_id,
            counterparty=path.b._counterparty_of_connection(),
            counterparty_versions=[message.version],
            proof_init=proof.data,
            proof_height=proof.height.to_proto(),
            signer=path.b.signer,
        )
    )
    path.b.connection_id = "connection-0"
    assert list(get_connection(path.b).versions[0].features) == ["ORDER_UNORDERED"]
    path.b.channel_config.ordering = ORDER_ORDERED
    assert refused(path.b.chan_open_init) == ("connection", 9)


def test_channel_opens_on_both_ends(connected: Path) -> None:
    connected.create_channels()
    for end in (connected.a, connected.b):
        channel = end.get_channel()
        assert channel.state == channel_pb2.STATE_OPEN
        assert channel.counterparty.channel_id == end.counterparty.channel_id
        assert channel.version == "echo-1"
    ctx = connected.b.chain.read_context()
    assert (get_count(ctx, "open_try"), get_count(ctx, "open_confirm")) == (1, 1)


def test_channel_events(connected: Path) -> None:
    connected.a.chan_open_init()
    connected.b.chan_open_try()
    result = connected.b.chain.blocks[-1].results[0]
    assert get_events(result.events, "channel_open_try") == [
        {
            "port_id": "echo",
            "channel_id": "channel-0",
            "counterparty_port_id": "echo",
            "counterparty_channel_id": "channel-0",
            "connection_id": "connection-0",
            "version": "echo-1",
            "msg_index": "0",
        }
    ]


def test_channel_steps_out_of_place_are_refused(connected: Path) -> None:
    path = connected
    path.a.chan_open_init()
    path.b.chan_open_try()
    assert refused(path.b.chan_open_confirm)[0] == "commitment"
    path.a.chan_open_ack()
    assert refused(path.a.chan_open_ack) == ("channel", 5)
    path.b.chan_open_confirm()
    assert refused(path.b.chan_open_confirm) == ("channel", 5)


def test_channel_over_a_connection_not_open_is_refused(clients: Path) -> None:
    path = clients
    path.a.conn_open_init()
    path.b.conn_open_try()
    path.a.chan_open_init()  # As in ibc-go: the proposal may come early, the answer may not.
    assert refused(path.b.chan_open_try) == ("connection", 6)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda m: setattr(m, "port_id", "unbound"), ("port", 5)),
        (lambda m: setattr(m, "port_id", "/"), ("host", 2)),
        (lambda m: setattr(m.channel, "state", channel_pb2.STATE_OPEN), ("channel", 5)),
        (lambda m: setattr(m.channel, "ordering", 0), ("channel", 6)),
        (lambda m: m.channel.connection_hops.append("connection-1"), ("channel", 15)),
        (lambda m: m.channel.ClearField("connection_hops"), ("channel", 15)),
        (
            lambda m: m.channel.connection_hops.__setitem__(0, "connection-5"),
            ("connection", 3),
        ),
        (lambda m: setattr(m.channel.counterparty, "channel_id", "channel-0"), ("channel", 7)),
        (lambda m: setattr(m.channel.counterparty, "port_id", ""), ("host", 2)),
        (lambda m: setattr(m.channel, "version", "v" * 10_001), ("ibc", 8)),
    ],
)
def test_bad_channel_proposal_is_refused(
    connected: Path, change: Callable[[Any], None], code: tuple[str, int]
) -> None:
    message = channel_tx.MsgChannelOpenInit(
        port_id="echo",
        channel=connected.a.build_channel(channel_pb2.STATE_INIT),
        signer=connected.a.signer,
    )
    change(message)
    assert refused(lambda: connected.a.chain.deliver(message)) == code


def test_channel_closes_on_both_ends(path: Path) -> None:
    path.a.chan_close_init()
    assert refused(path.a.chan_close_init) == ("channel", 5)
    path.b.chan_close_confirm()
    for end in (path.a, path.b):
        assert end.get_channel().state == channel_pb2.STATE_CLOSED
    assert refused(path.b.chan_close_confirm) == ("channel", 5)


def test_close_that_did_not_happen_is_refused(path: Path) -> None:
    assert refused(path.b.chan_close_confirm) == ("commitment", 2)


def test_application_may_refuse_to_close(path: Path) -> None:
    echo(path.a).is_closing_allowed = False
    assert refused(path.a.chan_close_init) == ("channel", 5)
    assert path.a.get_channel().state == channel_pb2.STATE_OPEN


def test_malformed_own_identifiers_are_refused(path: Path) -> None:
    close = channel_tx.MsgChannelCloseInit(
        port_id="echo", channel_id="echo-0", signer=path.a.signer
    )
    assert refused(lambda: path.a.chain.deliver(close)) == ("channel", 18)
    confirm = connection_tx.MsgConnectionOpenConfirm(
        connection_id="conn-0", proof_ack=b"x", signer=path.a.signer
    )
    assert refused(lambda: path.a.chain.deliver(confirm)) == ("connection", 11)
