"""The identities of a network, read from its chains: supplies, and liens against locks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from chain._pb.margin.collateral.v1 import query_pb2 as collateral_query
from chain._pb.margin.vault.v1 import query_pb2 as vault_query
from chain.client.errors import NotFound
from chain.modules.collateral.identity import CollateralIdentity, compute_identity
from localnet.clients import Chain
from localnet.governance import LISTINGS, get_route_id

PAGE_ROWS = 100


@dataclass(frozen=True, slots=True)
class CollateralReading:
    """Liens against locks of one route's asset, atomic units, each chain at one height."""

    route_id: str
    denom: str
    hub_height: int
    spoke_height: int
    bank_balance: int
    identity: CollateralIdentity

    @property
    def holds(self) -> bool:
        """Whether every locked unit is explained, and the vault's coins are its ledger's."""
        return self.identity.difference == 0 and self.bank_balance == self.identity.locked

    def describe(self) -> dict[str, Any]:
        """The reading for the report; amounts as texts."""
        figures = {name: str(value) for name, value in asdict(self.identity).items()}
        return {
            "route": self.route_id,
            "denom": self.denom,
            "hub_height": self.hub_height,
            "spoke_height": self.spoke_height,
            "vault_balance": str(self.bank_balance),
            **figures,
            "difference": str(self.identity.difference),
            "holds": self.holds,
        }


async def read_supplies(chains: Mapping[str, Chain]) -> dict[str, dict[str, int]]:
    """Total supply by denomination and chain."""
    found: dict[str, dict[str, int]] = {}
    for chain_id, chain in chains.items():
        for denom, amount in (await chain.supply()).items():
            found.setdefault(denom, {})[chain_id] = amount
    return found


async def read_collateral(hub: Chain, spoke: Chain) -> CollateralReading:
    """Liens against locks of a collateral chain; exact when nothing moves between the readings."""
    route_id = get_route_id(spoke.chain_id)
    denom = LISTINGS[spoke.chain_id][1]
    spoke_height = await spoke.height()
    vault_totals = await spoke.query(
        "/margin.vault.v1.Query/Totals",
        vault_query.QueryTotalsRequest(),
        vault_query.QueryTotalsResponse,
        height=spoke_height,
    )
    pending = await spoke.query(
        "/margin.vault.v1.Query/PendingLocks",
        vault_query.QueryPendingLocksRequest(limit=PAGE_ROWS),
        vault_query.QueryPendingLocksResponse,
        height=spoke_height,
    )
    hub_height = await hub.height()
    hub_totals = await hub.query(
        "/margin.collateral.v1.Query/Totals",
        collateral_query.QueryTotalsRequest(),
        collateral_query.QueryTotalsResponse,
        height=hub_height,
    )
    flights = await hub.query(
        "/margin.collateral.v1.Query/PacketsInFlight",
        collateral_query.QueryPacketsInFlightRequest(route_id=route_id),
        collateral_query.QueryPacketsInFlightResponse,
        height=hub_height,
    )
    locks = {row.lock_id: int(row.amount) for row in pending.locks if row.denom == denom}
    orders = {row.flight_id: int(row.amount) for row in flights.flights if row.denom == denom}
    row = next((row for row in vault_totals.totals if row.denom == denom), None)
    identity = compute_identity(
        locked=int(row.pending or 0) + int(row.liened or 0) if row else 0,
        liens=sum(
            int(total.amount)
            for total in hub_totals.liens
            if (total.route_id, total.denom) == (route_id, denom)
        ),
        pending_locks=locks,
        credited_lock_ids=[
            lock_id for lock_id in locks if await _is_credited(hub, route_id, lock_id, hub_height)
        ],
        flights=orders,
        executed_order_ids=[
            order_id for order_id in orders if await _is_executed(spoke, order_id, spoke_height)
        ],
    )
    balance = int(row.bank_balance or 0) if row else 0
    return CollateralReading(route_id, denom, hub_height, spoke_height, balance, identity)


async def _is_credited(hub: Chain, route_id: str, lock_id: str, height: int) -> bool:
    answer = await hub.query(
        "/margin.collateral.v1.Query/CreditedLock",
        collateral_query.QueryCreditedLockRequest(route_id=route_id, lock_id=lock_id),
        collateral_query.QueryCreditedLockResponse,
        height=height,
    )
    return bool(answer.lock.lock_id)


async def _is_executed(spoke: Chain, order_id: str, height: int) -> bool:
    try:
        answer = await spoke.query(
            "/margin.vault.v1.Query/Order",
            vault_query.QueryOrderRequest(order_id=order_id),
            vault_query.QueryOrderResponse,
            height=height,
        )
    except NotFound:
        return False
    return bool(answer.order.order_id)
