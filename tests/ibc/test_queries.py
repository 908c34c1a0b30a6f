"""The queries of IBC over a chain that has relayed: what Hermes and our relayer ask."""

from typing import Any

import pytest

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.ibc.core.channel.v1 import query_pb2 as channel_query
from chain._pb.ibc.core.client.v1 import query_pb2 as client_query
from chain._pb.ibc.core.connection.v1 import query_pb2 as connection_query
from chain.ibc.errors import InvalidMessage
from chain.ibc.router import ORDER_ORDERED
from chain.runtime.errors import NotFound
from tests.twochain.path import Coordinator, Path

CLIENT = "/ibc.core.client.v1.Query/"
CONNECTION = "/ibc.core.connection.v1.Query/"
CHANNEL = "/ibc.core.channel.v1.Query/"
CHANNEL_KEY = {"port_id": "echo", "channel_id": "channel-0"}


def ask(chain: Any, service: str, method: str, height: int = 0, **fields: Any) -> Any:
    room = {CLIENT: client_query, CONNECTION: connection_query, CHANNEL: channel_query}[service]
    request = getattr(room, f"Query{method}Request")(**fields)
    return chain.query(service + method, request, getattr(room, f"Query{method}Response"), height)


@pytest.fixture(scope="module")
def path() -> Path:
    """An open channel with packets 1 and 3 settled, 2 received, 4 in flight."""
    path = Coordinator().create_echo_path().setup()
    sent = [path.a.send_packet(f"{number}".encode()) for number in range(4)]
    path.relay(sent[0])
    path.b.recv(sent[1])
    path.relay(sent[2])
    return path


def test_clients(path: Path) -> None:
    chain = path.a.chain
    answer = ask(chain, CLIENT, "ClientStates")
    assert [c.client_id for c in answer.client_states] == ["07-tendermint-0"]
    url = answer.client_states[0].client_state.type_url
    assert url == "/ibc.lightclients.tendermint.v1.ClientState"
    single = ask(chain, CLIENT, "ClientState", client_id="07-tendermint-0")
    assert single.client_state == answer.client_states[0].client_state
    assert single.proof_height.revision_height == chain.height
    status = ask(chain, CLIENT, "ClientStatus", client_id="07-tendermint-0")
    assert status.status == "Active"
    assert list(ask(chain, CLIENT, "ClientParams").params.allowed_clients) == ["07-tendermint"]


def test_consensus_states(path: Path) -> None:
    chain = path.a.chain
    key = {"client_id": "07-tendermint-0"}
    heights = ask(chain, CLIENT, "ConsensusStateHeights", **key).consensus_state_heights
    numbers = [h.revision_height for h in heights]
    assert numbers == sorted(numbers)
    states = ask(chain, CLIENT, "ConsensusStates", **key).consensus_states
    assert [s.height.revision_height for s in states] == numbers
    latest = ask(chain, CLIENT, "ConsensusState", latest_height=True, **key)
    assert latest.consensus_state == states[-1].consensus_state
    page = pagination_pb2.PageRequest(limit=2)
    first = ask(chain, CLIENT, "ConsensusStateHeights", pagination=page, **key)
    page = pagination_pb2.PageRequest(limit=2, key=first.pagination.next_key)
    second = ask(chain, CLIENT, "ConsensusStateHeights", pagination=page, **key)
    both = [*first.consensus_state_heights, *second.consensus_state_heights]
    assert [h.revision_height for h in both] == numbers[:4]


def test_connections(path: Path) -> None:
    chain = path.a.chain
    key = {"connection_id": "connection-0"}
    end = ask(chain, CONNECTION, "Connection", **key).connection
    assert end.counterparty.connection_id == "connection-0"
    listed = ask(chain, CONNECTION, "Connections")
    assert [c.id for c in listed.connections] == ["connection-0"]
    assert listed.height.revision_height == chain.height
    paths = ask(chain, CONNECTION, "ClientConnections", client_id="07-tendermint-0")
    assert list(paths.connection_paths) == ["connection-0"]
    client = ask(chain, CONNECTION, "ConnectionClientState", **key).identified_client_state
    assert client.client_id == "07-tendermint-0"
    params = ask(chain, CONNECTION, "ConnectionParams").params
    assert params.max_expected_time_per_block == 30_000_000_000


def test_channels(path: Path) -> None:
    chain = path.a.chain
    channel = ask(chain, CHANNEL, "Channel", **CHANNEL_KEY).channel
    assert channel.version == "echo-1"
    (listed,) = ask(chain, CHANNEL, "Channels").channels
    assert (listed.port_id, listed.channel_id) == ("echo", "channel-0")
    over = ask(chain, CHANNEL, "ConnectionChannels", connection="connection-0")
    assert list(over.channels) == [listed]
    assert not ask(chain, CHANNEL, "ConnectionChannels", connection="connection-1").channels
    client = ask(chain, CHANNEL, "ChannelClientState", **CHANNEL_KEY).identified_client_state
    assert client.client_id == "07-tendermint-0"


def test_packets_in_flight(path: Path) -> None:
    a, b = path.a.chain, path.b.chain
    answer = ask(a, CHANNEL, "PacketCommitments", **CHANNEL_KEY)
    assert [c.sequence for c in answer.commitments] == [2, 4]
    assert answer.height.revision_height == a.height
    one = ask(a, CHANNEL, "PacketCommitment", sequence=2, **CHANNEL_KEY)
    assert one.commitment == answer.commitments[0].data
    unreceived = ask(
        b, CHANNEL, "UnreceivedPackets", packet_commitment_sequences=[2, 4], **CHANNEL_KEY
    )
    assert list(unreceived.sequences) == [4]
    acks = ask(
        b,
        CHANNEL,
        "PacketAcknowledgements",
        packet_commitment_sequences=[2, 4],
        **CHANNEL_KEY,
    )
    assert [ack.sequence for ack in acks.acknowledgements] == [2]
    all_acks = ask(b, CHANNEL, "PacketAcknowledgements", **CHANNEL_KEY)
    assert [ack.sequence for ack in all_acks.acknowledgements] == [1, 2, 3]
    unsettled = ask(a, CHANNEL, "UnreceivedAcks", packet_ack_sequences=[1, 2, 3], **CHANNEL_KEY)
    assert list(unsettled.sequences) == [2]
    assert ask(b, CHANNEL, "PacketReceipt", sequence=2, **CHANNEL_KEY).received
    assert not ask(b, CHANNEL, "PacketReceipt", sequence=4, **CHANNEL_KEY).received
    assert ask(a, CHANNEL, "NextSequenceSend", **CHANNEL_KEY).next_sequence_send == 5
    assert ask(a, CHANNEL, "NextSequenceReceive", **CHANNEL_KEY).next_sequence_receive == 0


def test_older_height_answers_as_it_was(path: Path) -> None:
    chain = path.a.chain
    last = ask(chain, CHANNEL, "NextSequenceSend", **CHANNEL_KEY).next_sequence_send
    before = next(
        block.height
        for block in chain.blocks
        if any(event.type == "send_packet" for event in block.response.events)
    )
    then = ask(chain, CHANNEL, "NextSequenceSend", height=before - 1, **CHANNEL_KEY)
    assert (last, then.next_sequence_send) == (5, 1)
    assert then.proof_height.revision_height == before - 1


@pytest.mark.parametrize(
    ("service", "method", "fields"),
    [
        (CLIENT, "ClientState", {"client_id": "07-tendermint-9"}),
        (CLIENT, "ClientStatus", {"client_id": "07-tendermint-9"}),
        (CLIENT, "ConsensusState", {"client_id": "07-tendermint-9", "latest_height": True}),
        (CLIENT, "ConsensusState", {"client_id": "07-tendermint-0", "revision_height": 77_777}),
        (CLIENT, "UpgradedClientState", {}),
        (CLIENT, "UpgradedConsensusState", {}),
        (CONNECTION, "Connection", {"connection_id": "connection-9"}),
        (CONNECTION, "ClientConnections", {"client_id": "07-tendermint-9"}),
        (CONNECTION, "ConnectionClientState", {"connection_id": "connection-9"}),
        (CHANNEL, "Channel", {"port_id": "echo", "channel_id": "channel-9"}),
        (CHANNEL, "PacketCommitments", {"port_id": "echo", "channel_id": "channel-9"}),
        (CHANNEL, "PacketCommitment", {"sequence": 1, **CHANNEL_KEY}),
        (CHANNEL, "PacketAcknowledgement", {"sequence": 4, **CHANNEL_KEY}),
        (CHANNEL, "UnreceivedPackets", {"port_id": "echo", "channel_id": "channel-9"}),
        (CHANNEL, "NextSequenceSend", {"port_id": "x", "channel_id": "channel-9"}),
    ],
)
def test_what_does_not_exist_is_not_found(
    path: Path, service: str, method: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(NotFound):
        ask(path.a.chain, service, method, **fields)


def test_bad_sequences_are_refused(path: Path) -> None:
    for numbers in ([0], list(range(1, 10_002))):
        with pytest.raises(InvalidMessage):
            ask(
                path.a.chain,
                CHANNEL,
                "UnreceivedPackets",
                packet_commitment_sequences=numbers,
                **CHANNEL_KEY,
            )


def test_ordered_channel_answers_by_its_next_sequence() -> None:
    path = Coordinator().create_echo_path(ORDER_ORDERED).setup()
    for number in range(3):
        path.a.send_packet(f"{number}".encode())
    following = ask(path.b.chain, CHANNEL, "NextSequenceReceive", **CHANNEL_KEY)
    assert following.next_sequence_receive == 1
    unreceived = ask(
        path.b.chain,
        CHANNEL,
        "UnreceivedPackets",
        packet_commitment_sequences=[1, 3],
        **CHANNEL_KEY,
    )
    assert list(unreceived.sequences) == [1, 3]


def test_filtered_channels_are_paged_without_loss() -> None:
    """All five channels over one connection, in pages of two."""
    path = Coordinator().create_echo_path().setup()
    for _ in range(4):
        path.create_channels()
    found: list[str] = []
    key = b""
    while True:
        page = pagination_pb2.PageRequest(limit=2, key=key)
        answer = ask(
            path.a.chain, CHANNEL, "ConnectionChannels", connection="connection-0", pagination=page
        )
        found += [channel.channel_id for channel in answer.channels]
        key = answer.pagination.next_key
        if not key:
            break
    assert found == [f"channel-{number}" for number in range(5)]


def test_clients_are_paged_in_the_order_of_creation(path: Path) -> None:
    for _ in range(4):
        path.b.create_client()
    path.b.client_id = "07-tendermint-0"
    first = ask(
        path.b.chain, CLIENT, "ClientStates", pagination=pagination_pb2.PageRequest(limit=3)
    )
    rest = ask(
        path.b.chain,
        CLIENT,
        "ClientStates",
        pagination=pagination_pb2.PageRequest(limit=3, key=first.pagination.next_key),
    )
    listed = [c.client_id for c in (*first.client_states, *rest.client_states)]
    assert listed == [f"07-tendermint-{number}" for number in range(5)]
    assert not rest.pagination.next_key
