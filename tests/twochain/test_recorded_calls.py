"""The calls that Hermes and CosmJS were recorded to make, asked of our chain over a live channel.

Each row is a call of the recording and the shape of its answer: code, whether there is a value,
which proofs came with it.
"""

import pytest

from chain._pb.cosmos.auth.v1beta1 import query_pb2 as auth_query
from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query
from chain._pb.ibc.core.channel.v1 import query_pb2 as channel_query
from chain._pb.ibc.core.client.v1 import query_pb2 as client_query
from chain._pb.ibc.core.connection.v1 import query_pb2 as connection_query
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.runtime.address import encode_address
from chain.runtime.errors import NotFound
from tests.twochain.path import Path
from tests.twochain.test_transfer import build_path, send

PROOFS = ["ics23:iavl", "ics23:simple"]
CHANNEL = "ports/transfer/channels/channel-0"


@pytest.fixture(scope="module")
def path() -> Path:
    """A channel with one packet acknowledged and one in flight."""
    path = build_path()
    path.relay(send(path.a, "uone", 5, path.b.signer))
    send(path.a, "uone", 7, path.b.signer)
    path.a.chain.next_block()
    return path


STORE_CALLS = [
    ("a", "clients/07-tendermint-0/clientState", True),
    ("a", "clients/07-tendermint-0/consensusStates/1-999", False),
    ("a", "connections/connection-0", True),
    ("a", f"channelEnds/{CHANNEL}", True),
    ("a", f"channelUpgrades/upgrades/{CHANNEL}", False),
    ("a", f"commitments/{CHANNEL}/sequences/1", False),
    ("a", f"commitments/{CHANNEL}/sequences/2", True),
    ("b", f"acks/{CHANNEL}/sequences/1", True),
    ("b", f"acks/{CHANNEL}/sequences/2", False),
    ("b", f"receipts/{CHANNEL}/sequences/1", True),
    ("b", f"receipts/{CHANNEL}/sequences/2", False),
    ("b", f"nextSequenceRecv/{CHANNEL}", True),
]


@pytest.mark.parametrize("store_path", ["store/ibc/key", "/store/ibc/key"])
@pytest.mark.parametrize("prove", [False, True])
@pytest.mark.parametrize(("side", "key", "has_value"), STORE_CALLS)
def test_store_keys_are_answered_as_recorded(path, side, key, has_value, prove, store_path):
    end = getattr(path, side)
    for height in (0, end.chain.height - 1):
        answer = end.chain.app.query(
            abci.RequestQuery(path=store_path, data=key.encode(), prove=prove, height=height)
        )
        assert answer.code == 0
        assert bool(answer.value) == has_value
        assert answer.height == (height or end.chain.height)
        assert [op.type for op in answer.proof_ops.ops] == (PROOFS if prove else [])


def test_method_paths_are_answered_as_recorded(path):
    chain = path.a.chain
    address = path.a.signer
    calls = [
        ("/cosmos.auth.v1beta1.Query/Account", auth_query.QueryAccountRequest(address=address)),
        (
            "/cosmos.bank.v1beta1.Query/Balance",
            bank_query.QueryBalanceRequest(address=address, denom="umargin"),
        ),
    ]
    for method, request in calls:
        query = abci.RequestQuery(path=method, data=request.SerializeToString())
        answer = chain.app.query(query)
        assert (answer.code, bool(answer.value)) == (0, True)
        assert answer.height == chain.height


def test_an_unknown_account_is_not_found_in_the_recorded_words(path):
    nobody = encode_address(bytes(20))
    request = auth_query.QueryAccountRequest(address=nobody)
    answer = path.a.chain.app.query(
        abci.RequestQuery(
            path="/cosmos.auth.v1beta1.Query/Account", data=request.SerializeToString()
        )
    )
    assert (answer.code, answer.codespace, answer.value) == (22, "sdk", b"")
    assert answer.log.startswith(f"rpc error: code = NotFound desc = account {nobody}")
    assert answer.height


def call(end, method, request, response):
    data, height = end.chain.app.run_query(method, request.SerializeToString(), 0)
    assert height == end.chain.height
    return response.FromString(data)


def test_ibc_methods_are_answered_as_recorded(path):
    a, b = path.a, path.b
    every = {"limit": 2**32 - 1}
    core = "/ibc.core."
    states = call(
        a,
        core + "client.v1.Query/ClientStates",
        client_query.QueryClientStatesRequest(pagination=every),
        client_query.QueryClientStatesResponse,
    )
    assert [state.client_id for state in states.client_states] == ["07-tendermint-0"]
    connection = call(
        a,
        core + "connection.v1.Query/Connection",
        connection_query.QueryConnectionRequest(connection_id="connection-0"),
        connection_query.QueryConnectionResponse,
    )
    assert connection.connection.counterparty.connection_id == "connection-0"
    paths = call(
        a,
        core + "connection.v1.Query/ClientConnections",
        connection_query.QueryClientConnectionsRequest(client_id="07-tendermint-0"),
        connection_query.QueryClientConnectionsResponse,
    )
    assert list(paths.connection_paths) == ["connection-0"]
    channels = call(
        a,
        core + "channel.v1.Query/ConnectionChannels",
        channel_query.QueryConnectionChannelsRequest(connection="connection-0", pagination=every),
        channel_query.QueryConnectionChannelsResponse,
    )
    assert [channel.version for channel in channels.channels] == ["ics20-1"]
    place = {"port_id": "transfer", "channel_id": "channel-0"}
    commitments = call(
        a,
        core + "channel.v1.Query/PacketCommitments",
        channel_query.QueryPacketCommitmentsRequest(**place, pagination=every),
        channel_query.QueryPacketCommitmentsResponse,
    )
    assert [row.sequence for row in commitments.commitments] == [2]
    assert commitments.height.revision_height
    unreceived = call(
        b,
        core + "channel.v1.Query/UnreceivedPackets",
        channel_query.QueryUnreceivedPacketsRequest(**place, packet_commitment_sequences=[1, 2]),
        channel_query.QueryUnreceivedPacketsResponse,
    )
    assert list(unreceived.sequences) == [2]
    acks = call(
        b,
        core + "channel.v1.Query/PacketAcknowledgements",
        channel_query.QueryPacketAcknowledgementsRequest(
            **place, packet_commitment_sequences=[1, 2]
        ),
        channel_query.QueryPacketAcknowledgementsResponse,
    )
    assert [row.sequence for row in acks.acknowledgements] == [1]
    assert acks.height.revision_height
    unacknowledged = call(
        a,
        core + "channel.v1.Query/UnreceivedAcks",
        channel_query.QueryUnreceivedAcksRequest(**place, packet_ack_sequences=[1, 2]),
        channel_query.QueryUnreceivedAcksResponse,
    )
    assert list(unacknowledged.sequences) == [2]


def test_an_unknown_connection_is_not_found(path):
    request = connection_query.QueryConnectionRequest(connection_id="connection-9")
    with pytest.raises(NotFound):
        path.a.chain.app.run_query(
            "/ibc.core.connection.v1.Query/Connection", request.SerializeToString(), 0
        )
