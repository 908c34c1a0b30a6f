"""IBC core: clients (ICS-02, 07), connections (ICS-03), channels and packets (ICS-04), the host
paths (ICS-24) and the port router. Core knows no application: a chain hands them to `module`.
"""

from collections.abc import Callable, Mapping

from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx_pb2
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx_pb2
from chain._pb.ibc.core.connection.v1 import tx_pb2 as connection_tx_pb2
from chain._pb.ibc.core.types.v1.genesis_pb2 import GenesisState
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain.ibc import genesis, host
from chain.ibc.channel import queries as channel_queries
from chain.ibc.channel.handlers import ChannelMessages
from chain.ibc.client import handlers as client_handlers
from chain.ibc.client import queries as client_queries
from chain.ibc.connection import handlers as connection_handlers
from chain.ibc.connection import queries as connection_queries
from chain.ibc.errors import Unauthorized
from chain.ibc.mempool import MempoolRules
from chain.ibc.queries import build_message_routes
from chain.ibc.router import IbcApplication, PortRouter
from chain.runtime.context import Context
from chain.runtime.module import MessageRoute, Module


def _refuse_authority(ctx: Context) -> str:
    del ctx
    raise Unauthorized("this chain has no authority over IBC")


def module(
    applications: Mapping[str, IbcApplication],
    get_authority: Callable[[Context], str] = _refuse_authority,
) -> Module:
    """The module "ibc" over applications by port.

    `get_authority` names the address that may recover clients and set parameters (the council's).
    """
    channels = ChannelMessages(PortRouter(applications))
    return Module(
        name="ibc",
        stores=(host.STORE,),
        messages=_messages(channels, get_authority),
        queries=(*client_queries.QUERIES, *connection_queries.QUERIES, *channel_queries.QUERIES),
        check_transaction=MempoolRules(channels).apply,
        any_types=(
            tendermint_pb2.ClientState,
            tendermint_pb2.ConsensusState,
            tendermint_pb2.Header,
            tendermint_pb2.Misbehaviour,
        ),
        genesis=GenesisState,
        default_genesis=genesis.build_default_genesis,
        init_genesis=genesis.init_genesis,
        export_genesis=genesis.export_genesis,
    )


def _messages(
    channels: ChannelMessages, get_authority: Callable[[Context], str]
) -> tuple[MessageRoute, ...]:
    authority = client_handlers.AuthorityMessages(get_authority)
    connection_authority = connection_handlers.AuthorityMessages(authority.require_authority)
    return (
        *build_message_routes(
            client_tx_pb2.DESCRIPTOR.services_by_name["Msg"],
            {
                "CreateClient": client_handlers.handle_create_client,
                "UpdateClient": client_handlers.handle_update_client,
                "UpgradeClient": client_handlers.handle_upgrade_client,
                "SubmitMisbehaviour": client_handlers.handle_submit_misbehaviour,
                "RecoverClient": authority.handle_recover_client,
                "UpdateClientParams": authority.handle_update_client_params,
            },
        ),
        *build_message_routes(
            connection_tx_pb2.DESCRIPTOR.services_by_name["Msg"],
            {
                "ConnectionOpenInit": connection_handlers.handle_connection_open_init,
                "ConnectionOpenTry": connection_handlers.handle_connection_open_try,
                "ConnectionOpenAck": connection_handlers.handle_connection_open_ack,
                "ConnectionOpenConfirm": connection_handlers.handle_connection_open_confirm,
                "UpdateConnectionParams": connection_authority.handle_update_connection_params,
            },
        ),
        *build_message_routes(
            channel_tx_pb2.DESCRIPTOR.services_by_name["Msg"],
            {
                "ChannelOpenInit": channels.handle_channel_open_init,
                "ChannelOpenTry": channels.handle_channel_open_try,
                "ChannelOpenAck": channels.handle_channel_open_ack,
                "ChannelOpenConfirm": channels.handle_channel_open_confirm,
                "ChannelCloseInit": channels.handle_channel_close_init,
                "ChannelCloseConfirm": channels.handle_channel_close_confirm,
                "RecvPacket": channels.handle_recv_packet,
                "Acknowledgement": channels.handle_acknowledgement,
                "Timeout": channels.handle_timeout,
                "TimeoutOnClose": channels.handle_timeout_on_close,
            },
        ),
    )
