"""What the councils of a local network decide once channels exist: routes, listings, the hub.

Every decision is a real proposal: one member submits it, a second approves, anyone executes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from chain._pb.ibc.core.client.v1 import query_pb2 as client_query
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain._pb.margin.collateral.v1 import collateral_pb2
from chain._pb.margin.collateral.v1 import query_pb2 as collateral_query
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.council.v1 import council_pb2
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain._pb.margin.vault.v1 import query_pb2 as vault_query
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain._pb.margin.vault.v1 import vault_pb2
from chain.client.errors import NotFound, QueryRefused
from chain.client.transaction import pack_any
from chain.ibc.apps.transfer.denoms import PORT as TRANSFER_PORT
from chain.ibc.apps.transfer.denoms import Denom
from chain.modules.council.types import authority_address
from chain.modules.vault.types import MODULE_NAME as VAULT
from localnet.actors import COUNCIL
from localnet.clients import Chain
from localnet.instruments import (
    TERM_S,
    compute_expiry_time_s,
    get_markets,
    make_listings,
    make_spot,
)
from relayer.config import PathSection

_USD: Final = 10**6
HEARTBEAT_S: Final = 5
LISTINGS: Final[Mapping[str, tuple[str, str, int]]] = {
    "alpha-1": ("ETH", "aeth", 18),
    "beta-1": ("USDC", "uusdc", 6),
}
"""Collateral chain → (asset, denom there, decimals)."""


@dataclass(frozen=True, slots=True)
class VoucherListing:
    """A token of a chain that knows nothing of margin, as collateral: its asset, size and bounds.

    Amounts are atomic units of the token.
    """

    asset: str
    base_denom: str
    decimals: int
    amount_cap: int
    amount_min: int = 1


class DecisionFailed(RuntimeError):
    """A proposal of the council that did not take effect."""


def get_route_id(chain_id: str) -> str:
    """The hub's name for the route to a collateral chain: alpha-1 is route alpha."""
    return chain_id.rpartition("-")[0] or chain_id


async def decide(chain: Chain, title: str, messages: Sequence[Message]) -> int:
    """Put messages through the chain's council; the proposal's id. Raises DecisionFailed."""
    first, second = COUNCIL[0].wallet, COUNCIL[1].wallet
    proposal = council_pb2.MsgSubmitProposal(
        proposer=first.address,
        title=title,
        messages=[pack_any(message) for message in messages],
    )
    submitted = (await chain.deliver(first, [proposal])).responses[0]
    assert isinstance(submitted, council_pb2.MsgSubmitProposalResponse)
    proposal_id = submitted.proposal_id
    outcome = await chain.deliver(
        second,
        [
            council_pb2.MsgApprove(member=second.address, proposal_id=proposal_id),
            council_pb2.MsgExecute(executor=second.address, proposal_id=proposal_id),
        ],
    )
    executed = outcome.responses[1]
    assert isinstance(executed, council_pb2.MsgExecuteResponse)
    if executed.status != council_pb2.PROPOSAL_STATUS_EXECUTED:
        found = await chain.query(
            "/margin.council.v1.Query/Proposal",
            council_pb2.QueryProposalRequest(proposal_id=proposal_id),
            council_pb2.QueryProposalResponse,
        )
        failed = found.proposal
        raise DecisionFailed(
            f"{chain.chain_id} proposal {proposal_id} ({title}) ended as "
            f"{failed.failure_codespace}/{failed.failure_code}"
        )
    return proposal_id


async def register_network(
    hub: Chain, spokes: Mapping[str, Chain], paths: Mapping[str, PathSection]
) -> list[str]:
    """Make the linked channels count, on both ends; what was decided, nothing when all was."""
    decided = []
    for chain_id, spoke in spokes.items():
        path = paths[chain_id]
        if not await is_hub_registered(spoke):
            client = await _get_client_state(spoke, path.b_client)
            await decide(spoke, f"obey {hub.chain_id}", [_make_hub(hub.chain_id, path, client)])
            decided.append(f"{chain_id}: the vault obeys {path.b_channel} of {hub.chain_id}")
    messages: list[Message] = []
    for chain_id in spokes:
        if await is_route_registered(hub, get_route_id(chain_id)):
            continue
        path = paths[chain_id]
        client = await _get_client_state(hub, path.a_client)
        messages += [_make_route(chain_id, path, client), _make_listing(chain_id)]
        decided.append(f"{hub.chain_id}: route {get_route_id(chain_id)} over {path.a_channel}")
    if not (await get_markets(hub, markets_pb2.INSTRUMENT_KIND_FUTURE)).markets:
        expiry_time_s = compute_expiry_time_s(await hub.time_s(), TERM_S)
        messages += make_listings(expiry_time_s)
        decided.append(f"{hub.chain_id}: an ETH future and options until {expiry_time_s}")
    if messages:
        await decide(hub, "routes and listings", messages)
    return decided


async def register_spot(hub: Chain, denom: str) -> str:
    """List the spot market of ETH over a denomination of the hub's bank, once; its id."""
    market = make_spot(denom)
    listed = await get_markets(hub, markets_pb2.INSTRUMENT_KIND_SPOT)
    if all(other.id != market.id for other in listed.markets):
        listing = markets_tx.MsgListMarket(authority=authority_address(), market=market)
        await decide(hub, f"spot of {denom}", [listing])
    return market.id


async def is_hub_registered(spoke: Chain) -> bool:
    """Whether a vault already obeys a hub."""
    try:
        answer = await spoke.query(
            "/margin.vault.v1.Query/Hub",
            vault_query.QueryHubRequest(),
            vault_query.QueryHubResponse,
        )
    except (NotFound, QueryRefused):
        return False
    return bool(answer.hub.channel_id)


async def is_route_registered(hub: Chain, route_id: str) -> bool:
    """Whether the hub knows the route."""
    answer = await hub.query(
        "/margin.collateral.v1.Query/Routes",
        collateral_query.QueryRoutesRequest(),
        collateral_query.QueryRoutesResponse,
    )
    return any(view.route.route_id == route_id for view in answer.routes)


async def _get_client_state(chain: Chain, client_id: str) -> tendermint_pb2.ClientState:
    answer = await chain.query(
        "/ibc.core.client.v1.Query/ClientState",
        client_query.QueryClientStateRequest(client_id=client_id),
        client_query.QueryClientStateResponse,
    )
    return tendermint_pb2.ClientState.FromString(answer.client_state.value)


def _make_hub(
    hub_id: str, path: PathSection, client: tendermint_pb2.ClientState
) -> vault_tx.MsgRegisterHub:
    return vault_tx.MsgRegisterHub(
        authority=authority_address(),
        hub=vault_pb2.Hub(
            chain_id=hub_id,
            client_id=path.b_client,
            connection_id=path.b_connection,
            channel_id=path.b_channel,
            trust_level_numerator=client.trust_level.numerator,
            trust_level_denominator=client.trust_level.denominator,
            trusting_period_s=client.trusting_period.seconds,
            unbonding_period_s=client.unbonding_period.seconds,
            max_clock_drift_s=client.max_clock_drift.seconds,
        ),
    )


def _make_route(
    chain_id: str, path: PathSection, client: tendermint_pb2.ClientState
) -> collateral_tx.MsgRegisterRoute:
    return collateral_tx.MsgRegisterRoute(
        authority=authority_address(),
        route=collateral_pb2.Route(
            route_id=get_route_id(chain_id),
            chain_id=chain_id,
            client_id=path.a_client,
            connection_id=path.a_connection,
            channel_id=path.a_channel,
            vault=VAULT,
            route_class=collateral_pb2.ROUTE_CLASS_LIGHT_CLIENT,
            **_make_terms(client),
        ),
    )


def _make_terms(client: tendermint_pb2.ClientState) -> dict[str, Any]:
    """What every route of a local network has: the client's own trust, a demo's times and caps."""
    return {
        "trust": collateral_pb2.TrustParameters(
            trust_level_numerator=client.trust_level.numerator,
            trust_level_denominator=client.trust_level.denominator,
            trusting_period_s=client.trusting_period.seconds,
            unbonding_period_s=client.unbonding_period.seconds,
            max_clock_drift_s=client.max_clock_drift.seconds,
        ),
        "finality_s": 1,
        "auction_duration_s": 15,
        "heartbeat_interval_s": HEARTBEAT_S,
        "value_cap_uusd": str(50_000_000 * _USD),
        "stake_uusd": str(200_000_000 * _USD),
        "validators_for_third": 1,
    }


def get_voucher(channel_id: str, base_denom: str) -> str:
    """What the bank of the receiving chain calls a token that came over its transfer channel."""
    return Denom(base_denom).with_hop(TRANSFER_PORT, channel_id).local_denom


async def register_voucher_route(
    hub: Chain,
    path: PathSection,
    listings: Sequence[VoucherListing],
    *,
    route_id: str,
    address_prefix: str,
) -> None:
    """Make the transfer channel of a linked path count as collateral; the hub is side a of it.

    Raises DecisionFailed when the council's messages are refused.
    """
    client = await _get_client_state(hub, path.a_client)
    route = collateral_pb2.Route(
        route_id=route_id,
        chain_id=path.b_chain,
        client_id=path.a_client,
        connection_id=path.a_connection,
        channel_id=path.a_channel,
        vault=TRANSFER_PORT,
        kind=collateral_pb2.ROUTE_KIND_VOUCHER,
        address_prefix=address_prefix,
        route_class=collateral_pb2.ROUTE_CLASS_LIGHT_CLIENT,
        **_make_terms(client),
    )
    authority = authority_address()
    messages: list[Message] = [collateral_tx.MsgRegisterRoute(authority=authority, route=route)]
    for listing in listings:
        listed = collateral_pb2.Listing(
            asset=listing.asset,
            route_id=route_id,
            denom=get_voucher(path.a_channel, listing.base_denom),
            decimals=listing.decimals,
            amount_cap=str(listing.amount_cap),
            amount_min=str(listing.amount_min),
        )
        messages.append(collateral_tx.MsgSetListing(authority=authority, listing=listed))
    await decide(hub, f"vouchers of {path.b_chain} as collateral", messages)


def _make_listing(chain_id: str) -> collateral_tx.MsgSetListing:
    asset, denom, decimals = LISTINGS[chain_id]
    return collateral_tx.MsgSetListing(
        authority=authority_address(),
        listing=collateral_pb2.Listing(
            asset=asset,
            route_id=get_route_id(chain_id),
            denom=denom,
            decimals=decimals,
            amount_cap=str(10_000_000 * 10**decimals),
            amount_min=str(10**decimals // 100),
        ),
    )
