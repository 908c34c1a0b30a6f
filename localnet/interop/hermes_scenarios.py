"""What Hermes must be able to do with our chains, each as an operator would do it."""

import time
from typing import Any, Final

from chain._pb.ibc.core.client.v1 import query_pb2 as client_query
from chain._pb.margin.collateral.v1 import query_pb2 as collateral_query
from chain.client.amount import Amount
from localnet.actors import ACTORS
from localnet.interop.hermes import EventMode
from localnet.interop.scenario import Scenario, require
from localnet.interop.sides import (
    ChannelEnd,
    Link,
    Side,
    play_round_trip,
    wait_until_acknowledged,
    wait_until_seen,
)
from localnet.interop.world import SPOKE_ID, World
from localnet.relaying import read_paths

HUB_SIMD: Final = "hermes hub to ibc-go"
SIMD_HUB: Final = "hermes ibc-go to hub"
HUB_SPOKE: Final = "hermes hub to spoke"
_PACKETS: Final = 3
_LATE_BLOCKS: Final = 3
_LATE_S: Final = 3
_REFRESH_S: Final = 60


def check_health(world: World) -> str:
    """No warning about our chains; ibc-go's has versions newer than this Hermes knows."""
    config = world.write_hermes_config("ours", sides=(world.hub, world.spoke))
    world.hermes.run(config, "config", "validate")
    _, log = world.hermes.run_logged(config, "health-check")
    warnings = [entry["fields"]["message"] for entry in log if entry.get("level") == "WARN"]
    require(not warnings, f"hermes health-check: {'; '.join(warnings)}")
    healthy = sum("chain is healthy" in entry["fields"]["message"] for entry in log)
    require(healthy == 2, f"hermes health-check: {healthy} of 2 chains are healthy")
    return "hub and spoke healthy, no warning"


def open_link(world: World, name: str, a: Side, b: Side) -> str:
    """Two clients, a connection and a transfer channel, by the four commands an operator types."""
    config = world.write_hermes_config()
    started = time.monotonic()
    clients = []
    for host, reference in ((a, b), (b, a)):
        made = world.hermes.run(
            config,
            *("create", "client", "--host-chain", host.chain_id),
            *("--reference-chain", reference.chain_id),
        )
        clients.append(made["CreateClient"]["client_id"])
    connection = world.hermes.run(
        config,
        *("create", "connection", "--a-chain", a.chain_id),
        *("--a-client", clients[0], "--b-client", clients[1]),
    )
    channel = world.hermes.run(
        config,
        *("create", "channel", "--a-chain", a.chain_id),
        *("--a-connection", connection["a_side"]["connection_id"]),
        *("--a-port", "transfer", "--b-port", "transfer"),
    )
    world.links[name] = Link(_read_end(a, channel["a_side"]), _read_end(b, channel["b_side"]))
    return f"{time.monotonic() - started:.1f} s"


def _read_end(side: Side, shown: dict[str, Any]) -> ChannelEnd:
    return ChannelEnd(side, shown["client_id"], shown["connection_id"], shown["channel_id"])


def open_margin_channel(world: World) -> str:
    """A margin-1 channel over the connection of the transfers; unregistered, it moves no credit."""
    link = world.get_link(HUB_SPOKE)
    made = world.hermes.run(
        world.write_hermes_config(),
        *("create", "channel", "--a-chain", link.a.side.chain_id),
        *("--a-connection", link.a.connection_id, "--a-port", "margin", "--b-port", "margin"),
        *("--order", "unordered", "--channel-version", "margin-1"),
    )
    require(made["ordering"] == "Unordered", f"create channel: ordering {made['ordering']}")
    return f"{made['a_side']['channel_id']} and {made['b_side']['channel_id']}"


def relay_transfers(world: World, name: str, mode: EventMode) -> str:
    """Coins of both chains there and back while `hermes start` runs."""
    link = world.get_link(name)
    config = world.write_hermes_config(mode, mode=mode)
    with world.hermes_running(config):
        return play_round_trip(link)


def relay_timeouts(world: World, name: str) -> str:
    """A packet of each chain past its height and one past its time: both senders are refunded."""
    for way in world.get_link(name).directions:
        _let_time_out(world, way, 777)
    return "height and time, both directions, refunded to the unit"


def _let_time_out(world: World, way: Link, amount: int) -> None:
    coin = way.a.side.coin
    before = way.a.side.get_balance("alice", coin)
    height = way.b.side.get_height() + _LATE_BLOCKS
    way.send(amount, timeout_s=0, timeout_height=height)
    way.send(amount, timeout_s=_LATE_S)
    require(
        way.a.side.get_balance("alice", coin) == before - 2 * amount,
        f"transfer on {way.a.side.chain_id}: {coin} did not leave the sender",
    )
    wait_until_seen(lambda: way.b.side.get_height() > height, "the timeout height")
    time.sleep(_LATE_S)
    _clear(world, way.a)
    wait_until_seen(
        lambda: way.a.side.get_balance("alice", coin) == before,
        f"refund on {way.a.side.chain_id}",
    )


def _clear(world: World, end: ChannelEnd) -> None:
    world.hermes.run(
        world.write_hermes_config(),
        *("clear", "packets", "--chain", end.side.chain_id),
        *("--port", end.port_id, "--channel", end.channel_id),
    )


def _query_pending(world: World, end: ChannelEnd) -> dict[str, Any]:
    pending: dict[str, Any] = world.hermes.run(
        world.write_hermes_config(),
        *("query", "packet", "pending", "--chain", end.side.chain_id),
        *("--port", end.port_id, "--channel", end.channel_id),
    )
    return pending


def clear_packets(world: World, name: str) -> str:
    """Packets sent while nobody relays are pending, and are not once they are cleared."""
    link = world.get_link(name)
    for way in link.directions:
        sequences = way.send(11, count=_PACKETS)
        require(len(sequences) == _PACKETS, f"{len(sequences)} of {_PACKETS} packets were sent")
        seen = _query_pending(world, way.a)["src"]["unreceived_packets"]
        flat = sorted(_flatten(seen))
        require(flat == sequences, f"query packet pending: {flat}, sent were {sequences}")
        _clear(world, way.a)
        after = _query_pending(world, way.a)
        left = [owed for end in ("src", "dst") for owed in after[end].values()]
        require(not any(left), f"query packet pending after clear packets: {left}")
        wait_until_acknowledged(way.a)
    return f"{_PACKETS} pending each way, none after clearing"


def _flatten(ranges: list[Any]) -> list[int]:
    """Sequences of Hermes's collated ranges: numbers, or {start, end}."""
    found: list[int] = []
    for item in ranges:
        if isinstance(item, dict):
            found += range(int(item["start"]), int(item["end"]) + 1)
        else:
            found.append(int(item))
    return found


def relay_margin_packets(world: World) -> str:
    """A lock becomes a lien and a withdrawal a release, with Hermes as the only relayer."""
    path = read_paths(world.localnet.relayer_home)[world.spoke.chain_id]
    hub = ChannelEnd(world.hub, path.a_client, path.a_connection, path.a_channel, "margin")
    spoke = ChannelEnd(world.spoke, path.b_client, path.b_connection, path.b_channel, "margin")
    alice = ACTORS["alice"].wallet
    amount = Amount.parse("3 ETH")
    with world.relayer_stopped():
        before = _get_lien_total(world)
        with world.spoke.connect() as client:
            client.lock_collateral(alice, amount).wait()
        _clear(world, spoke)
        wait_until_seen(lambda: _get_lien_total(world) == before + amount.units, "the lien")
        held = world.spoke.get_balance("alice", "aeth")
        with world.hub.connect() as client:
            client.withdraw_collateral(alice, "alpha", amount, alice.address).wait()
        _clear(world, hub)
        wait_until_seen(
            lambda: world.spoke.get_balance("alice", "aeth") == held + amount.units,
            "the released collateral",
        )
        wait_until_seen(lambda: _get_lien_total(world) == before, "the lien's end")
    return "3 ETH locked, credited, withdrawn, released"


def _get_lien_total(world: World) -> int:
    with world.hub.connect() as client:
        answer = client.query(
            "/margin.collateral.v1.Query/Totals",
            collateral_query.QueryTotalsRequest(),
            collateral_query.QueryTotalsResponse,
        )
    return sum(int(total.amount) for total in answer.liens if total.denom == "aeth")


def refresh_client(world: World, name: str) -> str:
    """`update client` moves a client on; a running Hermes keeps those of its channels alive."""
    link = world.get_link(name)
    config = world.write_hermes_config()
    for end in (link.a, link.b):
        before = get_latest_height(end.side, end.client_id)
        world.hermes.run(
            config,
            *("update", "client", "--host-chain", end.side.chain_id, "--client", end.client_id),
        )
        after = get_latest_height(end.side, end.client_id)
        require(after > before, f"update client {end.client_id}: height {before} stays")
    brief = world.write_hermes_config(
        "brief", sides=(world.hub, world.spoke), trusting_period=f"{_REFRESH_S}s"
    )
    made = world.hermes.run(
        brief,
        *("create", "channel", "--a-chain", world.hub.chain_id, "--b-chain", SPOKE_ID),
        *("--a-port", "transfer", "--b-port", "transfer", "--new-client-connection", "--yes"),
    )
    with world.hermes_running(brief):
        time.sleep(_REFRESH_S * 3 // 2)
        for side, key in ((world.hub, "a_side"), (world.spoke, "b_side")):
            status = get_client_status(side, made[key]["client_id"])
            require(status == "Active", f"client trusted for {_REFRESH_S} s is {status}")
    return (
        f"by command; by itself, trusted for {_REFRESH_S} s and active after {_REFRESH_S * 1.5:g}"
    )


def get_latest_height(side: Side, client_id: str) -> int:
    """The newest height of the other chain that a client holds."""
    with side.connect() as client:
        answer = client.query(
            "/ibc.core.client.v1.Query/ConsensusStateHeights",
            client_query.QueryConsensusStateHeightsRequest(client_id=client_id),
            client_query.QueryConsensusStateHeightsResponse,
        )
    return max(int(height.revision_height) for height in answer.consensus_state_heights)


def get_client_status(side: Side, client_id: str) -> str:
    """Active, Expired or Frozen."""
    with side.connect() as client:
        answer = client.query(
            "/ibc.core.client.v1.Query/ClientStatus",
            client_query.QueryClientStatusRequest(client_id=client_id),
            client_query.QueryClientStatusResponse,
        )
    return str(answer.status)


def _link(name: str, a: str, b: str) -> Scenario[World]:
    def play(world: World) -> str:
        return open_link(world, name, getattr(world, a), getattr(world, b))

    title = f"client, connection, channel: {name.removeprefix('hermes ')}"
    return Scenario(title, "hermes", play, opens=name)


def _transfers(name: str, mode: EventMode) -> Scenario[World]:
    title = f"transfers both ways, {mode}: {name.removeprefix('hermes ')}"
    return Scenario(title, "hermes", lambda world: relay_transfers(world, name, mode))


SCENARIOS: Final[tuple[Scenario[World], ...]] = (
    Scenario("health-check", "hermes", check_health),
    _link(HUB_SIMD, "hub", "simd"),
    _link(SIMD_HUB, "simd", "hub"),
    _link(HUB_SPOKE, "hub", "spoke"),
    Scenario("margin-1 channel: hub to spoke", "hermes", open_margin_channel),
    _transfers(HUB_SIMD, "push"),
    _transfers(SIMD_HUB, "pull"),
    _transfers(HUB_SPOKE, "pull"),
    Scenario("clear packets, query packet pending", "hermes", lambda w: clear_packets(w, HUB_SIMD)),
    Scenario("timeouts: hub and ibc-go", "hermes", lambda w: relay_timeouts(w, HUB_SIMD)),
    Scenario("timeouts: hub and spoke", "hermes", lambda w: relay_timeouts(w, HUB_SPOKE)),
    Scenario("margin-1 packets both ways", "hermes", relay_margin_packets),
    Scenario("client refresh", "hermes", lambda w: refresh_client(w, HUB_SIMD)),
)
