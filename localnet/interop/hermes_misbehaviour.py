"""A forked chain, seen by Hermes: the client of it on the hub is frozen with Hermes's evidence."""

from dataclasses import replace
from typing import Final

from localnet.interop.fork import split_chain
from localnet.interop.hermes_scenarios import get_client_status, get_latest_height
from localnet.interop.scenario import Scenario, ScenarioFailed, require
from localnet.interop.sides import wait_until_seen
from localnet.interop.world import World

_WATCH_S: Final = 90.0


def freeze_client_of_fork(world: World) -> str:
    """The spoke forks, the hub's client follows the fork, and `hermes misbehaviour` proves it.

    The spoke may end with it: its only validator is punished for the evidence that Hermes hands to
    the honest node, too.
    """
    hub, spoke, network = world.hub, world.spoke, world.localnet.network
    honest = world.write_hermes_config()
    made = world.hermes.run(
        honest,
        *("create", "client", "--host-chain", hub.chain_id, "--reference-chain", spoke.chain_id),
    )
    client_id = made["CreateClient"]["client_id"]
    fork = split_chain(network, spoke.chain_id, world.root / "fork", world.logs)
    try:
        other = replace(spoke, rpc_url=fork.spec.rpc_url, grpc_address=fork.spec.grpc_address)
        forked = world.write_hermes_config("fork", sides=(hub, other))
        world.hermes.run(
            forked, *("update", "client", "--host-chain", hub.chain_id, "--client", client_id)
        )
        height = get_latest_height(hub, client_id)
        wait_until_seen(
            lambda: (network.get_height(spoke.chain_id) or 0) > height + 1,
            f"height {height + 1} of the honest {spoke.chain_id}",
        )
        status = get_client_status(hub, client_id)
        require(status == "Active", f"{client_id} is {status} before there is evidence")
        _watch(world, client_id)
    finally:
        fork.stop()
    status = get_client_status(hub, client_id)
    require(status == "Frozen", f"hermes misbehaviour: {client_id} is {status}")
    return f"two headers of height {height}: {client_id} is frozen"


def _watch(world: World, client_id: str) -> None:
    """Let Hermes look for misbehaviour until it sees the client frozen, which ends the command."""
    try:
        world.hermes.run(
            world.write_hermes_config(),
            *("misbehaviour", "--chain", world.hub.chain_id, "--client", client_id),
            timeout_s=_WATCH_S,
        )
    except ScenarioFailed as error:
        # How it ends depends on which of its own transaction's events it looks at first.
        if not str(error).endswith("is already frozen"):
            raise


SCENARIOS: Final[tuple[Scenario[World], ...]] = (
    Scenario("misbehaviour: a forked spoke", "hermes", freeze_client_of_fork),
)
