"""Queries every node answers that belong to no module: who it is, what it asks, its parameters.

They read state and settings only, so the same handlers serve gRPC and abci_query; relayers ask them
through the latter (GetNodeInfo, Config, staking Params).
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from platform import python_version
from typing import Final

from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2
from chain._pb.cosmos.base.node.v1beta1 import query_pb2 as node_pb2
from chain._pb.cosmos.base.tendermint.v1beta1 import query_pb2 as comet_pb2
from chain._pb.cosmos.consensus.v1 import query_pb2 as consensus_pb2
from chain._pb.cosmos.staking.v1beta1 import query_pb2 as staking_pb2
from chain._pb.cosmos.staking.v1beta1 import staking_pb2 as staking_types
from chain._pb.cosmos.tx.v1beta1 import service_pb2, tx_pb2
from chain._pb.tendermint.p2p import types_pb2 as p2p_pb2
from chain.runtime import consensus
from chain.runtime.commit_store import CommitStore
from chain.runtime.context import Context
from chain.runtime.module import Module, QueryRoute
from chain.units import NANOSECONDS, YEAR_S

COMETBFT_VERSION: Final = "v0.38.26"
COSMOS_SDK_VERSION: Final = "v0.50.13"
IBC_GO_VERSION: Final = "v8.7.0"
"""Not what runs here but what we speak like: relayers accept a chain by these ranges."""
SIMULATE_PATH: Final = "/cosmos.tx.v1beta1.Service/Simulate"
UNBONDING_S: Final = YEAR_S // 365 * 21
"""Reported when the consensus parameters name no evidence age: the Cosmos habit of 21 days."""
HISTORICAL_ENTRIES: Final = 10_000
MAX_VALIDATORS: Final = 150
BOND_DENOM: Final = "umargin"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node says of itself; none of it enters consensus."""

    chain_type: str
    minimum_gas_prices: str
    versions_kept: int
    halt_height: int = 0
    moniker: str = ""
    node_id: str = ""


Simulate = Callable[[bytes], tuple[abci_pb2.GasInfo, abci_pb2.Result]]
"""Gas and result of a transaction on the check state, or its refusal: Application.simulate."""


def node_module(facts: NodeFacts, store: CommitStore, simulate: Simulate) -> Module:
    """The module of node-level queries; it owns no store and no message."""

    def query_simulate(
        ctx: Context, request: service_pb2.SimulateRequest
    ) -> service_pb2.SimulateResponse:
        del ctx
        gas, result = simulate(request.tx_bytes or encode_tx(request.tx))
        return service_pb2.SimulateResponse(gas_info=gas, result=result)

    def query_get_node_info(
        ctx: Context, request: comet_pb2.GetNodeInfoRequest
    ) -> comet_pb2.GetNodeInfoResponse:
        del request
        return comet_pb2.GetNodeInfoResponse(
            default_node_info=p2p_pb2.DefaultNodeInfo(
                protocol_version=p2p_pb2.ProtocolVersion(p2p=8, block=11),
                default_node_id=facts.node_id,
                network=ctx.chain_id or consensus.get_chain_id(ctx),
                version=COMETBFT_VERSION.removeprefix("v"),
                moniker=facts.moniker,
                other=p2p_pb2.DefaultNodeInfoOther(tx_index="on"),
            ),
            application_version=build_version_info(facts.chain_type),
        )

    def query_config(ctx: Context, request: node_pb2.ConfigRequest) -> node_pb2.ConfigResponse:
        del ctx, request
        return node_pb2.ConfigResponse(
            minimum_gas_price=facts.minimum_gas_prices,
            pruning_keep_recent=str(facts.versions_kept),
            pruning_interval="1",
            halt_height=facts.halt_height,
        )

    def query_status(ctx: Context, request: node_pb2.StatusRequest) -> node_pb2.StatusResponse:
        del request
        response = node_pb2.StatusResponse(
            earliest_store_height=store.earliest_height,
            height=store.height,
            app_hash=store.app_hash,
        )
        response.timestamp.FromNanoseconds(consensus.get_block_time_ns(ctx))
        return response

    return Module(
        name="node",
        queries=(
            QueryRoute(
                SIMULATE_PATH,
                service_pb2.SimulateRequest,
                service_pb2.SimulateResponse,
                query_simulate,
            ),
            QueryRoute(
                "/cosmos.base.node.v1beta1.Service/Status",
                node_pb2.StatusRequest,
                node_pb2.StatusResponse,
                query_status,
            ),
            QueryRoute(
                "/cosmos.base.tendermint.v1beta1.Service/GetNodeInfo",
                comet_pb2.GetNodeInfoRequest,
                comet_pb2.GetNodeInfoResponse,
                query_get_node_info,
            ),
            QueryRoute(
                "/cosmos.base.node.v1beta1.Service/Config",
                node_pb2.ConfigRequest,
                node_pb2.ConfigResponse,
                query_config,
            ),
            QueryRoute(
                "/cosmos.staking.v1beta1.Query/Params",
                staking_pb2.QueryParamsRequest,
                staking_pb2.QueryParamsResponse,
                query_staking_params,
            ),
            QueryRoute(
                "/cosmos.staking.v1beta1.Query/Validators",
                staking_pb2.QueryValidatorsRequest,
                staking_pb2.QueryValidatorsResponse,
                query_staking_validators,
            ),
            QueryRoute(
                "/cosmos.consensus.v1.Query/Params",
                consensus_pb2.QueryParamsRequest,
                consensus_pb2.QueryParamsResponse,
                query_consensus_params,
            ),
        ),
    )


def encode_tx(tx: tx_pb2.Tx) -> bytes:
    """The wire bytes of a transaction given as a message."""
    raw = tx_pb2.TxRaw(
        body_bytes=tx.body.SerializeToString(deterministic=True),
        auth_info_bytes=tx.auth_info.SerializeToString(deterministic=True),
        signatures=tx.signatures,
    )
    return raw.SerializeToString(deterministic=True)


def build_version_info(chain_type: str) -> comet_pb2.VersionInfo:
    """Name and version of the program, with the releases whose protocols it speaks."""
    return comet_pb2.VersionInfo(
        name="margin-chain",
        app_name="marginchaind",
        version=version("margin-chain"),
        build_tags=chain_type,
        go_version=f"python {python_version()}",
        build_deps=[
            comet_pb2.Module(path="github.com/cometbft/cometbft", version=COMETBFT_VERSION),
            comet_pb2.Module(path="github.com/cosmos/cosmos-sdk", version=COSMOS_SDK_VERSION),
            comet_pb2.Module(path="github.com/cosmos/ibc-go/v8", version=IBC_GO_VERSION),
        ],
        cosmos_sdk_version=COSMOS_SDK_VERSION,
    )


def query_staking_params(
    ctx: Context, request: staking_pb2.QueryParamsRequest
) -> staking_pb2.QueryParamsResponse:
    """The unbonding time a relayer derives trusting periods from: how long evidence counts."""
    del request
    evidence = consensus.get_params(ctx).evidence
    params = staking_types.Params(
        max_validators=MAX_VALIDATORS,
        max_entries=7,
        historical_entries=HISTORICAL_ENTRIES,
        bond_denom=BOND_DENOM,
        # A LegacyDec travels as an integer of 10^-18.
        min_commission_rate="0",
    )
    age_ns = evidence.max_age_duration.ToNanoseconds() or UNBONDING_S * NANOSECONDS
    params.unbonding_time.FromNanoseconds(age_ns)
    return staking_pb2.QueryParamsResponse(params=params)


def query_staking_validators(
    ctx: Context, request: staking_pb2.QueryValidatorsRequest
) -> staking_pb2.QueryValidatorsResponse:
    """No row: power is set by the council, not by stake (margin.validators.v1 has the set)."""
    del ctx, request
    return staking_pb2.QueryValidatorsResponse()


def query_consensus_params(
    ctx: Context, request: consensus_pb2.QueryParamsRequest
) -> consensus_pb2.QueryParamsResponse:
    """The consensus parameters in force."""
    del request
    return consensus_pb2.QueryParamsResponse(params=consensus.get_params(ctx))
