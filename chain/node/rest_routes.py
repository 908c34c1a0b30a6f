"""Which HTTP path asks which gRPC method: the paths that wallets and explorers of Cosmos call.

Paths of the cosmos and ibc services are facts of their public annotations; ours follow one rule,
/margin/<module>/v1/<method in snake case>.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chain.client.registry import MethodInfo, get_methods_by_path

_TENDERMINT: Final = "/cosmos/base/tendermint/v1beta1"
_CHANNEL: Final = "/ibc/core/channel/v1/channels/{channel_id}/ports/{port_id}"
_TRANSFER: Final = "/ibc/apps/transfer/v1"

GET_PATHS: Final[Mapping[str, str]] = {
    "/cosmos/auth/v1beta1/accounts": "cosmos.auth.v1beta1.Query/Accounts",
    "/cosmos/auth/v1beta1/accounts/{address}": "cosmos.auth.v1beta1.Query/Account",
    "/cosmos/auth/v1beta1/account_info/{address}": "cosmos.auth.v1beta1.Query/AccountInfo",
    "/cosmos/auth/v1beta1/bech32": "cosmos.auth.v1beta1.Query/Bech32Prefix",
    "/cosmos/auth/v1beta1/params": "cosmos.auth.v1beta1.Query/Params",
    "/cosmos/bank/v1beta1/balances/{address}": "cosmos.bank.v1beta1.Query/AllBalances",
    "/cosmos/bank/v1beta1/balances/{address}/by_denom": "cosmos.bank.v1beta1.Query/Balance",
    "/cosmos/bank/v1beta1/spendable_balances/{address}": (
        "cosmos.bank.v1beta1.Query/SpendableBalances"
    ),
    "/cosmos/bank/v1beta1/supply": "cosmos.bank.v1beta1.Query/TotalSupply",
    "/cosmos/bank/v1beta1/supply/by_denom": "cosmos.bank.v1beta1.Query/SupplyOf",
    "/cosmos/bank/v1beta1/denoms_metadata": "cosmos.bank.v1beta1.Query/DenomsMetadata",
    "/cosmos/bank/v1beta1/denoms_metadata/{denom:path}": "cosmos.bank.v1beta1.Query/DenomMetadata",
    "/cosmos/bank/v1beta1/params": "cosmos.bank.v1beta1.Query/Params",
    "/cosmos/base/node/v1beta1/config": "cosmos.base.node.v1beta1.Service/Config",
    "/cosmos/base/node/v1beta1/status": "cosmos.base.node.v1beta1.Service/Status",
    f"{_TENDERMINT}/node_info": "cosmos.base.tendermint.v1beta1.Service/GetNodeInfo",
    f"{_TENDERMINT}/syncing": "cosmos.base.tendermint.v1beta1.Service/GetSyncing",
    f"{_TENDERMINT}/blocks/latest": "cosmos.base.tendermint.v1beta1.Service/GetLatestBlock",
    f"{_TENDERMINT}/blocks/{{height}}": "cosmos.base.tendermint.v1beta1.Service/GetBlockByHeight",
    f"{_TENDERMINT}/validatorsets/latest": (
        "cosmos.base.tendermint.v1beta1.Service/GetLatestValidatorSet"
    ),
    f"{_TENDERMINT}/validatorsets/{{height}}": (
        "cosmos.base.tendermint.v1beta1.Service/GetValidatorSetByHeight"
    ),
    "/cosmos/consensus/v1/params": "cosmos.consensus.v1.Query/Params",
    "/cosmos/staking/v1beta1/params": "cosmos.staking.v1beta1.Query/Params",
    "/cosmos/staking/v1beta1/validators": "cosmos.staking.v1beta1.Query/Validators",
    "/cosmos/tx/v1beta1/txs": "cosmos.tx.v1beta1.Service/GetTxsEvent",
    "/cosmos/tx/v1beta1/txs/block/{height}": "cosmos.tx.v1beta1.Service/GetBlockWithTxs",
    "/cosmos/tx/v1beta1/txs/{hash}": "cosmos.tx.v1beta1.Service/GetTx",
    "/ibc/core/client/v1/client_states": "ibc.core.client.v1.Query/ClientStates",
    "/ibc/core/client/v1/client_states/{client_id}": "ibc.core.client.v1.Query/ClientState",
    "/ibc/core/client/v1/client_status/{client_id}": "ibc.core.client.v1.Query/ClientStatus",
    "/ibc/core/client/v1/consensus_states/{client_id}": "ibc.core.client.v1.Query/ConsensusStates",
    "/ibc/core/client/v1/consensus_states/{client_id}/heights": (
        "ibc.core.client.v1.Query/ConsensusStateHeights"
    ),
    "/ibc/core/client/v1/consensus_states/{client_id}/revision/{revision_number}/height/"
    "{revision_height}": "ibc.core.client.v1.Query/ConsensusState",
    "/ibc/core/client/v1/params": "ibc.core.client.v1.Query/ClientParams",
    "/ibc/core/connection/v1/client_connections/{client_id}": (
        "ibc.core.connection.v1.Query/ClientConnections"
    ),
    "/ibc/core/connection/v1/connections": "ibc.core.connection.v1.Query/Connections",
    "/ibc/core/connection/v1/connections/{connection_id}": (
        "ibc.core.connection.v1.Query/Connection"
    ),
    "/ibc/core/connection/v1/connections/{connection_id}/client_state": (
        "ibc.core.connection.v1.Query/ConnectionClientState"
    ),
    "/ibc/core/connection/v1/params": "ibc.core.connection.v1.Query/ConnectionParams",
    "/ibc/core/channel/v1/channels": "ibc.core.channel.v1.Query/Channels",
    "/ibc/core/channel/v1/connections/{connection}/channels": (
        "ibc.core.channel.v1.Query/ConnectionChannels"
    ),
    _CHANNEL: "ibc.core.channel.v1.Query/Channel",
    f"{_CHANNEL}/client_state": "ibc.core.channel.v1.Query/ChannelClientState",
    f"{_CHANNEL}/next_sequence": "ibc.core.channel.v1.Query/NextSequenceReceive",
    f"{_CHANNEL}/next_sequence_send": "ibc.core.channel.v1.Query/NextSequenceSend",
    f"{_CHANNEL}/packet_commitments": "ibc.core.channel.v1.Query/PacketCommitments",
    f"{_CHANNEL}/packet_commitments/{{sequence}}": "ibc.core.channel.v1.Query/PacketCommitment",
    f"{_CHANNEL}/packet_commitments/{{packet_ack_sequences}}/unreceived_acks": (
        "ibc.core.channel.v1.Query/UnreceivedAcks"
    ),
    f"{_CHANNEL}/packet_commitments/{{packet_commitment_sequences}}/unreceived_packets": (
        "ibc.core.channel.v1.Query/UnreceivedPackets"
    ),
    f"{_CHANNEL}/packet_acknowledgements": "ibc.core.channel.v1.Query/PacketAcknowledgements",
    f"{_CHANNEL}/packet_acks/{{sequence}}": "ibc.core.channel.v1.Query/PacketAcknowledgement",
    f"{_CHANNEL}/packet_receipts/{{sequence}}": "ibc.core.channel.v1.Query/PacketReceipt",
    f"{_TRANSFER}/params": "ibc.applications.transfer.v1.Query/Params",
    f"{_TRANSFER}/denoms": "ibc.applications.transfer.v1.Query/Denoms",
    f"{_TRANSFER}/denoms/{{hash:path}}": "ibc.applications.transfer.v1.Query/Denom",
    f"{_TRANSFER}/denom_traces": "ibc.applications.transfer.v1.Query/DenomTraces",
    f"{_TRANSFER}/denom_traces/{{hash:path}}": "ibc.applications.transfer.v1.Query/DenomTrace",
    f"{_TRANSFER}/denom_hashes/{{trace:path}}": "ibc.applications.transfer.v1.Query/DenomHash",
    f"{_TRANSFER}/channels/{{channel_id}}/ports/{{port_id}}/escrow_address": (
        "ibc.applications.transfer.v1.Query/EscrowAddress"
    ),
    f"{_TRANSFER}/total_escrow/{{denom:path}}": (
        "ibc.applications.transfer.v1.Query/TotalEscrowForDenom"
    ),
}

POST_PATHS: Final[Mapping[str, str]] = {
    "/cosmos/tx/v1beta1/txs": "cosmos.tx.v1beta1.Service/BroadcastTx",
    "/cosmos/tx/v1beta1/simulate": "cosmos.tx.v1beta1.Service/Simulate",
    "/cosmos/tx/v1beta1/decode": "cosmos.tx.v1beta1.Service/TxDecode",
    "/cosmos/tx/v1beta1/encode": "cosmos.tx.v1beta1.Service/TxEncode",
}

_NO_ROWS: Final = {"next_key": None, "total": "0"}
ABSENT: Final[Mapping[str, Mapping[str, Any]]] = {
    "/cosmos/staking/v1beta1/pool": {
        "pool": {"not_bonded_tokens": "0", "bonded_tokens": "0"},
    },
    "/cosmos/gov/v1/proposals": {"proposals": [], "pagination": _NO_ROWS},
    "/cosmos/gov/v1beta1/proposals": {"proposals": [], "pagination": _NO_ROWS},
    "/cosmos/distribution/v1beta1/community_pool": {"pool": []},
    "/cosmos/slashing/v1beta1/signing_infos": {"info": [], "pagination": _NO_ROWS},
    "/cosmos/mint/v1beta1/inflation": {"inflation": "0.000000000000000000"},
}
"""What explorers ask of modules that our chains do not have: an empty answer in the right shape."""

_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class RestRoute:
    """One HTTP method and path, and the gRPC method behind it."""

    http_method: str
    path: str
    method: MethodInfo


def get_routes() -> Iterator[RestRoute]:
    """All routes; fixed paths come before those with a parameter in the same place."""
    methods = get_methods_by_path()
    for http_method, table in (("GET", GET_PATHS), ("POST", POST_PATHS)):
        for path in sorted(table, key=lambda path: ("{" in path, path)):
            yield RestRoute(http_method, path, methods[f"/{table[path]}"])
    for full_path, info in sorted(methods.items()):
        service, _, name = full_path[1:].partition("/")
        if service.startswith("margin.") and service.endswith(".Query"):
            folder = service.removesuffix(".Query").replace(".", "/")
            yield RestRoute("GET", f"/{folder}/{_WORD.sub('_', name).lower()}", info)
