"""The chains of the scenarios, all of them processes on loopback: a hub, a spoke, an ibc-go chain.

Our relayer links the hub and the spoke and their councils register the channel, as in every local
network; what else the scenarios need they make themselves.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

from localnet.actors import ACTORS
from localnet.deployment import Localnet, LocalnetOptions
from localnet.interop.binaries import ensure_hermes, ensure_simd
from localnet.interop.hermes import EventMode, Hermes, HermesChain, render_config
from localnet.interop.scenario import ScenarioFailed
from localnet.interop.sides import Link, Side, wait_until_seen
from localnet.interop.simd import CHAIN_ID as SIMD_ID
from localnet.interop.simd import COIN, FEE_DENOM, SimdNode
from localnet.process import LocalProcess

HUB_ID: Final = "hub-1"
SPOKE_ID: Final = "alpha-1"
BLOCK_MS: Final = 500
SIMD_ACCOUNTS: Final = ("alice", "bob", "carol", "keeper", "hermes", "relayer")
_STARTED: Final = "Hermes has started"
_COINS: Final = {HUB_ID: "uusd", SPOKE_ID: "aeth"}

Progress = Callable[[str], None]


class World:
    """Every chain and program of a run under one folder; `close` ends them all."""

    def __init__(self, root: Path, progress: Progress) -> None:
        self.root = root.resolve()
        self.logs = self.root / "logs"
        self.links: dict[str, Link] = {}
        """Channels that scenarios opened, by name."""
        self.openers: dict[str, Callable[[World], str]] = {}
        """How a channel that is not open yet is opened, by its name; tried once."""
        self._progress = progress
        self._simd_binary = ensure_simd(progress)
        if self.root.exists():
            shutil.rmtree(self.root)
        self.localnet = Localnet.create(
            self.root / "network",
            LocalnetOptions(
                validators={HUB_ID: 1, SPOKE_ID: 1},
                timeout_commit_ms=BLOCK_MS,
                has_habitual_ports=False,
            ),
            progress=progress,
        )
        self.simd_node = SimdNode(self._simd_binary, self.root / "simd", self.logs)

    def up(self, progress: Progress) -> None:
        """Start the chains and link hub and spoke; raises ProcessFailed with a log's end."""
        self.simd_node.create(SIMD_ACCOUNTS, timeout_commit_ms=BLOCK_MS)
        self.simd_node.start()
        progress(f"{SIMD_ID} makes blocks (ibc-go)")
        self.localnet.up(progress)

    def close(self) -> None:
        """Stop every process."""
        self.localnet.down()
        self.simd_node.stop()

    def _get_side(self, chain_id: str) -> Side:
        node = self.localnet.network.topology.get_chain(chain_id).nodes[0]
        return Side(
            chain_id,
            node.rpc_url,
            node.grpc_address,
            node.rest_url,
            "margin",
            "umargin",
            _COINS[chain_id],
        )

    @property
    def hub(self) -> Side:
        """The margin chain."""
        return self._get_side(HUB_ID)

    @property
    def spoke(self) -> Side:
        """A collateral chain of ours."""
        return self._get_side(SPOKE_ID)

    @property
    def simd(self) -> Side:
        """The ibc-go chain."""
        node = self.simd_node
        return Side(SIMD_ID, node.rpc_url, node.grpc_address, "", "cosmos", FEE_DENOM, COIN)

    def get_link(self, name: str) -> Link:
        """A channel, opened now if no scenario has; raises ScenarioFailed when that failed."""
        if name not in self.links and (opener := self.openers.pop(name, None)):
            self._progress(f"  opening {name}")
            opener(self)
        if name not in self.links:
            raise ScenarioFailed(f"there is no channel {name!r}: its handshake did not pass")
        return self.links[name]

    # Hermes.

    @cached_property
    def hermes(self) -> Hermes:
        """Hermes with its keys, built when a scenario first asks for it; raises BinaryNotFound."""
        hermes = Hermes(ensure_hermes(self._progress), self.root / "hermes", self.logs)
        sides = (self.hub, self.spoke, self.simd)
        text = render_config([self.get_hermes_chain(side) for side in sides], hermes.keys)
        config = hermes.write_config("keys", text)
        for side in sides:
            hermes.add_key(config, side.chain_id, ACTORS["hermes"].mnemonic)
        return hermes

    def get_hermes_chain(self, side: Side) -> HermesChain:
        """A chain as Hermes's configuration describes it."""
        return HermesChain(
            side.chain_id, side.rpc_url, side.grpc_address, side.prefix, side.fee_denom
        )

    def write_hermes_config(
        self,
        name: str = "push",
        *,
        mode: EventMode = "push",
        is_misbehaviour_watched: bool = False,
        sides: tuple[Side, ...] = (),
        trusting_period: str = "14days",
    ) -> Path:
        """A configuration of Hermes over the chains, all three unless some are named."""
        chosen = sides or (self.hub, self.spoke, self.simd)
        text = render_config(
            [
                replace(self.get_hermes_chain(side), trusting_period=trusting_period)
                for side in chosen
            ],
            self.hermes.keys,
            mode=mode,
            is_misbehaviour_watched=is_misbehaviour_watched,
        )
        return self.hermes.write_config(name, text)

    @contextmanager
    def hermes_running(self, config: Path) -> Iterator[LocalProcess]:
        """`hermes start` while a block lasts; raises ScenarioFailed when it ends by itself."""
        process = self.hermes.open_relayer(config, config.stem)
        process.log_path.unlink(missing_ok=True)
        process.start()
        try:
            # A packet sent while Hermes looks around is relayed by the next clearing only.
            wait_until_seen(
                lambda: _STARTED in process.log_path.read_text(), "hermes start: its start"
            )
            yield process
            if not process.is_running:
                raise ScenarioFailed(f"hermes start: has ended\n{process.read_log_tail()}")
        finally:
            process.stop()

    @contextmanager
    def relayer_stopped(self) -> Iterator[None]:
        """Nobody relays for us inside the block."""
        self.localnet.relayer.stop()
        try:
            yield
        finally:
            self.localnet.relayer.start()
