"""Genesis of IBC: all of the provable store, in the messages of ibc-go's export."""

from collections.abc import Sized

from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.channel.v1 import genesis_pb2 as channel_genesis_pb2
from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.ibc.core.client.v1 import genesis_pb2 as client_genesis_pb2
from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain._pb.ibc.core.connection.v1 import genesis_pb2 as connection_genesis_pb2
from chain._pb.ibc.core.types.v1.genesis_pb2 import GenesisState
from chain.ibc import host
from chain.ibc.channel import state as channels
from chain.ibc.channel.queries import identify_channel
from chain.ibc.client import state as clients
from chain.ibc.client.handlers import unpack, validate_params
from chain.ibc.client.tendermint import validate_client_state, validate_consensus_state
from chain.ibc.connection import state as connections
from chain.ibc.connection.queries import identify_connection
from chain.ibc.errors import InvalidMessage
from chain.ibc.height import Height
from chain.runtime.context import Context


def build_default_genesis() -> GenesisState:
    """A chain that follows nobody yet and allows 07-tendermint clients."""
    return GenesisState(
        client_genesis=client_genesis_pb2.GenesisState(
            params=client_pb2.Params(allowed_clients=[clients.CLIENT_TYPE])
        ),
        connection_genesis=connection_genesis_pb2.GenesisState(
            params=connection_pb2.Params(
                max_expected_time_per_block=connections.DEFAULT_TIME_PER_BLOCK_NS
            )
        ),
        channel_genesis=channel_genesis_pb2.GenesisState(),
    )


def init_genesis(ctx: Context, genesis: GenesisState) -> None:
    """Write the store from genesis; raises for a client, connection or channel no handler makes.

    The sequences are written even when zero: an empty tree could not prove that a key is absent.
    """
    _init_clients(ctx, genesis.client_genesis)
    _init_connections(ctx, genesis.connection_genesis)
    _init_channels(ctx, genesis.channel_genesis)


def _init_clients(ctx: Context, genesis: client_genesis_pb2.GenesisState) -> None:
    validate_params(genesis.params)
    clients.set_params(ctx, genesis.params)
    clients.set_next_client_sequence(ctx, genesis.next_client_sequence)
    for identified in genesis.clients:
        number = host.parse_sequence(identified.client_id, f"{clients.CLIENT_TYPE}-")
        if number is None or number >= genesis.next_client_sequence:
            raise InvalidMessage(
                f"client {identified.client_id!r} must be numbered below next_client_sequence "
                f"{genesis.next_client_sequence}"
            )
        client = unpack(identified.client_state, clients.CLIENT_STATE_URL, clients.ClientState)
        validate_client_state(client)
        clients.set_client_state(ctx, identified.client_id, client)
    for group in genesis.clients_consensus:
        for item in group.consensus_states:
            consensus = unpack(
                item.consensus_state, clients.CONSENSUS_STATE_URL, clients.ConsensusState
            )
            validate_consensus_state(consensus)
            height = Height.from_proto(item.height)
            clients.set_exported_consensus_state(
                ctx, group.client_id, height, clients.pack_consensus_state(consensus)
            )
    for metadata in genesis.clients_metadata:
        for pair in metadata.client_metadata:
            _require_content(pair.key, f"a metadata key of {metadata.client_id}")
            _require_content(pair.value, f"a metadata value of {metadata.client_id}")
            clients.set_metadata(ctx, metadata.client_id, pair.key, pair.value)
    for identified in genesis.clients:
        for height in clients.iterate_consensus_heights(ctx, identified.client_id):
            if clients.get_consensus_state(ctx, identified.client_id, height) is None:
                raise InvalidMessage(
                    f"metadata of {identified.client_id} lists height {height}, of which "
                    f"clients_consensus has no state"
                )


def _require_content(content: Sized, what: str) -> None:
    if len(content) == 0:
        raise InvalidMessage(f"{what} must not be empty; leave the entry out")


def _init_connections(ctx: Context, genesis: connection_genesis_pb2.GenesisState) -> None:
    if genesis.params.max_expected_time_per_block == 0:
        raise InvalidMessage("max_expected_time_per_block must be above zero")
    connections.set_params(ctx, genesis.params)
    connections.set_next_connection_sequence(ctx, genesis.next_connection_sequence)
    for identified in genesis.connections:
        host.validate_connection_id(identified.id)
        connection = connections.ConnectionEnd(
            client_id=identified.client_id,
            versions=identified.versions,
            state=identified.state,
            counterparty=identified.counterparty,
            delay_period=identified.delay_period,
        )
        connections.set_connection(ctx, identified.id, connection)
    for group in genesis.client_connection_paths:
        host.validate_client_id(group.client_id)
        _require_content(group.paths, f"the connections of {group.client_id}")
        connections.set_client_connections(ctx, group.client_id, tuple(group.paths))


def _init_channels(ctx: Context, genesis: channel_genesis_pb2.GenesisState) -> None:
    channels.set_next_channel_sequence(ctx, genesis.next_channel_sequence)
    for identified in genesis.channels:
        host.validate_port_id(identified.port_id)
        host.validate_channel_id(identified.channel_id)
        if len(identified.connection_hops) != 1:
            raise InvalidMessage(f"channel {identified.channel_id!r} must have one connection hop")
        channel = channels.Channel(
            state=identified.state,
            ordering=identified.ordering,
            counterparty=identified.counterparty,
            connection_hops=identified.connection_hops,
            version=identified.version,
        )
        channels.set_channel(ctx, identified.port_id, identified.channel_id, channel)
    for item in genesis.commitments:
        _require_content(item.data, f"the commitment of packet {item.sequence}")
        channels.set_packet_commitment(ctx, item.port_id, item.channel_id, item.sequence, item.data)
    for item in genesis.acknowledgements:
        _require_content(item.data, f"the acknowledgement of packet {item.sequence}")
        channels.set_packet_acknowledgement(
            ctx, item.port_id, item.channel_id, item.sequence, item.data
        )
    for item in genesis.receipts:
        channels.set_packet_receipt(ctx, item.port_id, item.channel_id, item.sequence)
    for number in genesis.send_sequences:
        channels.set_next_sequence_send(ctx, number.port_id, number.channel_id, number.sequence)
    for number in genesis.recv_sequences:
        channels.set_next_sequence_recv(ctx, number.port_id, number.channel_id, number.sequence)
    for number in genesis.ack_sequences:
        channels.set_next_sequence_ack(ctx, number.port_id, number.channel_id, number.sequence)


def export_genesis(ctx: Context) -> GenesisState:
    """All that init_genesis needs to write the same store again."""
    return GenesisState(
        client_genesis=_export_clients(ctx),
        connection_genesis=_export_connections(ctx),
        channel_genesis=_export_channels(ctx),
    )


def _export_clients(ctx: Context) -> client_genesis_pb2.GenesisState:
    genesis = client_genesis_pb2.GenesisState(
        params=clients.get_params(ctx),
        next_client_sequence=clients.get_next_client_sequence(ctx),
    )
    metadata: dict[str, client_genesis_pb2.IdentifiedGenesisMetadata] = {}
    for client_id, key, value in clients.iterate_metadata(ctx):
        group = metadata.setdefault(
            client_id, client_genesis_pb2.IdentifiedGenesisMetadata(client_id=client_id)
        )
        group.client_metadata.add(key=key, value=value)
    for _, client_id, packed in clients.iterate_client_states(ctx):
        genesis.clients.add(client_id=client_id, client_state=packed)
        group_of_states = genesis.clients_consensus.add(client_id=client_id)
        for height in clients.iterate_consensus_heights(ctx, client_id):
            consensus = clients.get_consensus_state(ctx, client_id, height)
            assert consensus is not None, "an iteration key has its consensus state"
            group_of_states.consensus_states.add(
                height=height.to_proto(), consensus_state=clients.pack_consensus_state(consensus)
            )
        if client_id in metadata:
            genesis.clients_metadata.append(metadata[client_id])
    return genesis


def _export_connections(ctx: Context) -> connection_genesis_pb2.GenesisState:
    genesis = connection_genesis_pb2.GenesisState(
        params=connections.get_params(ctx),
        next_connection_sequence=connections.get_next_connection_sequence(ctx),
    )
    for connection_id, connection in connections.iterate_connections(ctx):
        genesis.connections.append(identify_connection(connection_id, connection))
    for _, client_id, _ in clients.iterate_client_states(ctx):
        paths = connections.get_client_connections(ctx, client_id)
        if paths:
            genesis.client_connection_paths.add(client_id=client_id, paths=paths)
    return genesis


def _export_channels(ctx: Context) -> channel_genesis_pb2.GenesisState:
    genesis = channel_genesis_pb2.GenesisState(
        next_channel_sequence=channels.get_next_channel_sequence(ctx)
    )
    for port_id, channel_id, channel in channels.iterate_channel_ends(ctx):
        genesis.channels.append(identify_channel(port_id, channel_id, channel))
        sequences = channels.get_sequences(ctx, port_id, channel_id)
        for rows, sequence in (
            (genesis.send_sequences, sequences.send),
            (genesis.recv_sequences, sequences.receive),
            (genesis.ack_sequences, sequences.acknowledge),
        ):
            rows.add(port_id=port_id, channel_id=channel_id, sequence=sequence)
    for kind, states in (
        ("commitments", genesis.commitments),
        ("acks", genesis.acknowledgements),
        ("receipts", genesis.receipts),
    ):
        for port_id, channel_id, sequence, data in channels.iterate_packet_states(ctx, kind):
            states.append(
                channel_pb2.PacketState(
                    port_id=port_id, channel_id=channel_id, sequence=sequence, data=data
                )
            )
    return genesis
