"""The story's report: identities with their figures, states with heights, times as measured."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from chain._pb.margin.collateral.v1 import query_pb2 as collateral_query
from localnet.block_history import BlockEvent, BlockHistory
from localnet.clients import Chain
from localnet.network import Network
from localnet.process import wait_until

EVENT_KINDS: Final = frozenset(
    {
        "margin_state_changed",
        "collateral_locked",
        "collateral_credited",
        "collateral_seized",
        "collateral_released",
        "seizure_settled",
        "liquidation_tier",
        "liquidation_filled",
        "auction_opened",
        "auction_bid",
        "settlement_price",
        "position_settled",
    }
)
SAMPLED_HEIGHTS: Final = 8
_AGREEMENT_TIMEOUT_S: Final = 30.0
_NS_PER_S: Final = 10**9


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, with the figures it was judged by."""

    name: str
    holds: bool
    figures: Mapping[str, Any] = field(default_factory=dict)


def check_supplies(
    before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]
) -> Check:
    """Per asset, the total over all chains is what it was."""
    totals = {
        denom: (
            sum(before.get(denom, {}).values()),
            sum(after.get(denom, {}).values()),
        )
        for denom in sorted({*before, *after})
    }
    return Check(
        "total supply of every asset over all chains is unchanged",
        all(old == new for old, new in totals.values()),
        {denom: {"before": str(old), "after": str(new)} for denom, (old, new) in totals.items()},
    )


def describe_states(hub: BlockHistory, owner: str) -> list[dict[str, Any]]:
    """Every margin state an owner's account went through, with height and figures."""
    return [
        {
            "height": event.height,
            "from": event.values["from"],
            "to": event.values["to"],
            "equity_uusd": event.values["equity_uusd"],
            "maintenance_uusd": event.values["maintenance_uusd"],
        }
        for event in hub.find("margin_state_changed", owner=owner)
    ]


def describe_route(view: collateral_query.RouteView) -> dict[str, Any]:
    """What is measured of a route."""
    return {
        "route": view.route.route_id,
        "chain": view.route.chain_id,
        "proof_age_ms": view.proof_age_ms,
        "delivery_p50_ms": view.relay_p50_ms,
        "delivery_p95_ms": view.relay_p95_ms,
        "samples": view.samples,
        "delta_t_ms": view.delta_t_ms,
        "delta_t_market_s": view.delta_t_market_s,
    }


def describe_span(
    history: BlockHistory, start: BlockEvent, end: BlockEvent, **labels: str
) -> dict[str, Any]:
    """The time between two events in seconds and in blocks of a chain."""
    return {
        **labels,
        "from": {"chain": start.chain_id, "height": start.height, "event": start.kind},
        "to": {"chain": end.chain_id, "height": end.height, "event": end.kind},
        "seconds": (end.time_ns - start.time_ns) / _NS_PER_S,
        "blocks": history.count_blocks(start.time_ns, end.time_ns),
        "blocks_of": history.chain_id,
    }


def describe_credits(hub: BlockHistory, spokes: Sequence[BlockHistory]) -> list[dict[str, Any]]:
    """From each lock on a collateral chain to the credit on the hub, in blocks of the hub."""
    spans = []
    for spoke in spokes:
        route_id = spoke.chain_id.rpartition("-")[0]
        for lock in spoke.find("collateral_locked"):
            lock_id = lock.values["lock_id"]
            for credit in hub.find("collateral_credited", route_id=route_id, lock_id=lock_id)[:1]:
                amount = f"{lock.values['amount']}{lock.values['denom']}"
                spans.append(describe_span(hub, lock, credit, lock=lock_id, amount=amount))
    return spans


def describe_deliveries(
    hub: BlockHistory, spokes: Sequence[BlockHistory], owner: str
) -> list[dict[str, Any]]:
    """From the trigger of the liquidation, and from each bid, to the delivery on its chain."""
    triggers = [
        event
        for event in hub.find("margin_state_changed", owner=owner)
        if event.values["to"] in ("liquidate", "backstop", "bankrupt")
    ]
    spans = []
    for spoke in spokes:
        for seized in spoke.find("collateral_seized", owner=owner):
            order_id = seized.values["order_id"]
            amount = f"{seized.values['amount']}{seized.values['denom']}"
            starts = [*triggers[:1], *hub.find("auction_bid", seize_id=order_id)[:1]]
            spans += [
                describe_span(hub, start, seized, order=order_id, amount=amount) for start in starts
            ]
    return spans


def check_app_hashes(network: Network) -> Check:
    """All nodes of a chain hold the same blocks and have computed the same state.

    A header's app hash is that of the state before it, so the applications' own word for their last
    height is held against the header one higher.
    """
    figures: dict[str, Any] = {}
    is_equal = True
    for chain in network.topology.chains:
        names = [node.name for node in chain.nodes]
        top = min(network.get_node_height(name) or 0 for name in names)
        heights = sorted(
            {max(1, top * i // SAMPLED_HEIGHTS) for i in range(1, SAMPLED_HEIGHTS + 1)}
        )
        hashes = {
            height: {
                network.ask_rpc(name, "block", height=str(height))["block"]["header"]["app_hash"]
                for name in names
            }
            for height in heights
        }
        states = {name: _judge_state(network, name, names) for name in names}
        is_equal &= all(len(found) == 1 for found in hashes.values()) and all(states.values())
        figures[chain.chain_id] = {
            "nodes": len(names),
            "app_hashes": {str(height): sorted(found) for height, found in hashes.items()},
            "applications_agree": states,
        }
    return Check("app hashes are equal between the nodes of each chain", is_equal, figures)


def _judge_state(network: Network, name: str, names: Sequence[str]) -> bool:
    """Whether a node's application has the app hash that the other nodes put into their headers."""
    said = network.ask_rpc(name, "abci_info")["response"]
    height = int(said["last_block_height"])
    own = base64.b64decode(said.get("last_block_app_hash") or "").hex().upper()
    others = [other for other in names if other != name] or [name]

    def is_there() -> bool:
        return any((network.get_node_height(other) or 0) > height for other in others)

    if not wait_until(is_there, _AGREEMENT_TIMEOUT_S):
        return False
    witness = next(o for o in others if (network.get_node_height(o) or 0) > height)
    block = network.ask_rpc(witness, "block", height=str(height + 1))["block"]
    return bool(block["header"]["app_hash"] == own)


async def read_histories(
    chains: Mapping[str, Chain], first: Mapping[str, int]
) -> dict[str, BlockHistory]:
    """The story's events on every chain since a height of each."""
    return {
        chain_id: await BlockHistory.read(
            chain, max(1, first[chain_id]), await chain.height(), EVENT_KINDS
        )
        for chain_id, chain in chains.items()
    }


def write_report(path: Path, document: Mapping[str, Any]) -> None:
    """Write the report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
