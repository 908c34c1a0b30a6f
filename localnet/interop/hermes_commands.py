"""What an operator types at Hermes, one command at a time: queries, raw relaying, a refusal."""

from typing import Any, Final

from localnet.interop.hermes_scenarios import HUB_SIMD
from localnet.interop.scenario import Scenario, ScenarioFailed, require
from localnet.interop.sides import ChannelEnd, Link, wait_until_acknowledged
from localnet.interop.world import World

_AMOUNT: Final = 321
_BURST: Final = 45


def _name_channel(end: ChannelEnd) -> tuple[str, ...]:
    return "--chain", end.side.chain_id, "--port", end.port_id, "--channel", end.channel_id


def list_queries(end: ChannelEnd) -> tuple[tuple[str, ...], ...]:
    """Every query that an operator may want of one end of a channel, without `hermes query`."""
    chain = ("--chain", end.side.chain_id)
    client = (*chain, "--client", end.client_id)
    channel = _name_channel(end)
    return (
        ("clients", "--host-chain", end.side.chain_id),
        ("client", "state", *client),
        ("client", "status", *client),
        ("client", "consensus", *client),
        ("client", "connections", *client),
        ("connections", *chain),
        ("connection", "end", *chain, "--connection", end.connection_id),
        ("connection", "channels", *chain, "--connection", end.connection_id),
        ("channels", *chain),
        ("channel", "end", *channel),
        ("channel", "ends", *channel),
        ("channel", "client", *channel),
        ("packet", "commitments", *channel),
        ("packet", "acks", *channel),
        ("packet", "pending", *channel),
        ("packet", "pending-sends", *channel),
        ("packet", "pending-acks", *channel),
    )


def answer_queries(world: World) -> str:
    """Each query of both ends of a channel has an answer; a balance has the fee's coin."""
    link, config = world.get_link(HUB_SIMD), world.write_hermes_config()
    count = 0
    for end in (link.a, link.b):
        for words in list_queries(end):
            world.hermes.run(config, "query", *words)
            count += 1
        balance = world.hermes.run(config, "keys", "balance", "--chain", end.side.chain_id)
        require(end.side.fee_denom in str(balance), f"hermes keys balance: {balance}")
    return f"{count} queries and 2 balances answered"


def relay_by_hand(world: World) -> str:
    """A transfer, its receipt and its acknowledgement, each by its own command, both ways."""
    config = world.write_hermes_config()
    for way in world.get_link(HUB_SIMD).directions:
        (sent,) = world.hermes.run(
            config,
            *("tx", "ft-transfer", *_name_chains(way)),
            *("--src-port", way.a.port_id, "--src-channel", way.a.channel_id),
            *("--amount", str(_AMOUNT), "--denom", way.a.side.fee_denom),
            *("--timeout-seconds", "600"),
        )
        sequence = int(sent["event"]["SendPacket"]["packet"]["sequence"])
        _require_open(way.a, sequence, is_open=True)
        _run_packet(world, "packet-recv", way)
        _run_packet(world, "packet-ack", Link(way.b, way.a))
        _require_open(way.a, sequence, is_open=False)
    return "ft-transfer, packet-recv, packet-ack, both ways"


def _name_chains(way: Link) -> tuple[str, ...]:
    return "--src-chain", way.a.side.chain_id, "--dst-chain", way.b.side.chain_id


def _run_packet(world: World, command: str, way: Link) -> None:
    events: list[dict[str, Any]] = world.hermes.run(
        world.write_hermes_config(),
        *("tx", command, *_name_chains(way)),
        *("--src-port", way.a.port_id, "--src-channel", way.a.channel_id),
    )
    refused = [event["ChainError"] for event in events if "ChainError" in event]
    require(events and not refused, f"hermes tx {command}: {refused or 'no event'}")


def _require_open(end: ChannelEnd, sequence: int, *, is_open: bool) -> None:
    commitments = end.list_commitments()
    require(
        (sequence in commitments) is is_open,
        f"packet {sequence} of {end.side.chain_id}: commitments are {commitments}",
    )


def refuse_to_close(world: World) -> str:
    """Neither chain lets a user close a transfer channel; Hermes is told so."""
    config = world.write_hermes_config()
    for way in world.get_link(HUB_SIMD).directions:
        near, far = way.b, way.a
        command = (
            *("tx", "chan-close-init", "--dst-chain", near.side.chain_id),
            *("--src-chain", far.side.chain_id, "--dst-connection", near.connection_id),
            *("--dst-port", near.port_id, "--src-port", far.port_id),
            *("--dst-channel", near.channel_id, "--src-channel", far.channel_id),
        )
        try:
            world.hermes.run(config, *command)
        except ScenarioFailed as error:
            require("cannot close channel" in str(error), str(error))
        else:
            raise ScenarioFailed(f"hermes tx chan-close-init: {near.side.chain_id} closed it")
    return "refused by both chains: user cannot close channel"


def relay_burst(world: World) -> str:
    """More packets at once than one transaction of Hermes holds, both ways, while it runs."""
    link = world.get_link(HUB_SIMD)  # Opened by commands: no second Hermes may spend the key.
    with world.hermes_running(world.write_hermes_config()):
        took = []
        for way in link.directions:
            way.send(1, count=_BURST)
            took.append(wait_until_acknowledged(way.a))
    return f"{_BURST} acknowledged after " + " and ".join(f"{seconds:.1f} s" for seconds in took)


SCENARIOS: Final[tuple[Scenario[World], ...]] = (
    Scenario("queries of an operator", "hermes", answer_queries),
    Scenario("tx ft-transfer, packet-recv, packet-ack", "hermes", relay_by_hand),
    Scenario("more packets than one transaction holds", "hermes", relay_burst),
    Scenario("a transfer channel is not closed by hand", "hermes", refuse_to_close),
)
