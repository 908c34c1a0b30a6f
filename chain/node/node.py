"""One node: settings in, a running application out. CometBFT runs beside it as its own process.

Order of life: store, application, gRPC, REST and metrics, the ABCI socket last; the way down is the
reverse, so that no call finds its ground gone.
"""

import gc
import logging
import re
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Final
from wsgiref.simple_server import WSGIServer

import structlog

from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2
from chain.hub import HUB
from chain.modules import oracle
from chain.node.abci import AbciServer
from chain.node.config import LogSettings, NodeConfig, load_config
from chain.node.feed import FeedSource
from chain.node.grpc import GrpcLimits, GrpcServer
from chain.node.home import read_moniker, read_node_id
from chain.node.metrics import MeteredApplication, NodeMetrics
from chain.node.rest import RestServer
from chain.node.services import NodeFacts, node_module
from chain.node.storage import LevelCommitStore, StoreOptions, open_commit_store
from chain.runtime.ante import GasPrice
from chain.runtime.application import Application, NodeOptions
from chain.runtime.commit_store import CommitStore
from chain.runtime.definition import ChainDefinition
from chain.spoke import SPOKE

CHAINS: Final[Mapping[str, ChainDefinition]] = {"hub": HUB, "spoke": SPOKE}
"""The chains a node can run, by the name app.toml calls them."""
_GAS_PRICE = re.compile(r"([0-9]+)(?:\.([0-9]{1,18}))?([a-z][a-z0-9/]{2,127})")
_STOP_POLL_S = 0.5
SWITCH_INTERVAL_S: Final = 0.0005
"""How long a thread may keep the interpreter from another: signature checks release it, and at
Python's own 5 ms each check beside a running block would wait that long to go on."""
COLLECTOR_THRESHOLDS: Final = (20_000, 20, 50)
"""When the cyclic collector runs: rarely, since a transaction's objects hold no cycles."""


def parse_gas_price(text: str) -> GasPrice:
    """The least gas price of the settings, e.g. `0.001umargin`; raises ValueError."""
    match = _GAS_PRICE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an amount and a denom, like 0.001umargin")
    return GasPrice(match[3], int(match[1] + (match[2] or "").ljust(18, "0")))


def build_application(
    chain_type: str,
    store: CommitStore,
    *,
    facts: NodeFacts,
    options: NodeOptions | None = None,
    feed: FeedSource | None = None,
) -> Application:
    """The application of a chain with this node's own parts: its feed and node-level queries."""
    application: Application | None = None

    def simulate(tx: bytes) -> tuple[abci_pb2.GasInfo, abci_pb2.Result]:
        assert application is not None, "queries come after construction"
        return application.simulate(tx)

    base = CHAINS[chain_type]
    modules = tuple(
        oracle.module(feed) if module.name == "oracle" else module for module in base.modules
    )
    application = Application(
        replace(base, modules=modules),
        store,
        options,
        node_modules=(node_module(facts, store, simulate),),
    )
    return application


class Node:
    """A node's parts, wired; start() returns when all listen, wait() ends with the node.

    >>> node = Node(home, load_config(home))
    >>> node.start()
    >>> node.wait()
    >>> node.stop()
    """

    def __init__(self, home: Path, config: NodeConfig) -> None:
        self.home = home
        self.config = config
        self.metrics = NodeMetrics(config.chain)
        self.store: LevelCommitStore = open_commit_store(
            home / "data",
            CHAINS[config.chain].store_names,
            StoreOptions(
                keep_versions=config.store.retain_versions,
                node_cache_entries=config.store.cache_nodes,
                snapshot_interval=config.store.snapshot_interval,
                snapshots_kept=config.store.snapshot_keep,
            ),
        )
        self.feed = (
            FeedSource(config.feed.source, timeout_ms=config.feed.timeout_ms)
            if config.feed.source
            else None
        )
        self.application = build_application(
            config.chain,
            self.store,
            facts=NodeFacts(
                chain_type=config.chain,
                minimum_gas_prices=config.mempool.minimum_gas_prices,
                versions_kept=config.store.retain_versions,
                halt_height=config.halt_height,
                moniker=read_moniker(home),
                node_id=read_node_id(home),
            ),
            options=NodeOptions(
                minimum_gas_prices=(parse_gas_price(config.mempool.minimum_gas_prices),),
                halt_height=config.halt_height,
                retain_blocks=config.store.retain_blocks,
            ),
            feed=self.feed,
        )
        self.abci = AbciServer(
            MeteredApplication(self.application, self.metrics),
            config.abci.address,
            call_log=Path(config.abci.call_log) if config.abci.call_log else None,
            request_bytes_max=config.abci.request_bytes_max,
        )
        self.grpc = (
            GrpcServer(
                self.application,
                config.grpc.address,
                rpc_url=config.cometbft.rpc,
                metrics=self.metrics,
                limits=GrpcLimits(workers=config.grpc.workers),
            )
            if config.grpc.address
            else None
        )
        self.rest = (
            RestServer(
                self.application,
                config.rest.address,
                rpc_url=config.cometbft.rpc,
                allowed_origins=config.rest.allowed_origins,
                metrics=self.metrics,
            )
            if config.rest.address
            else None
        )
        self._metrics_server: WSGIServer | None = None
        self._log = structlog.get_logger("node")
        self._stop_lock = threading.Lock()
        self._is_stopped = False

    def start(self) -> None:
        """Bring everything up; on failure everything is brought down again and the error raised."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self.metrics.watch_bugs(lambda: self.application.errors.by_place)
        self.metrics.height.set(self.store.height)
        self.metrics.watch(
            "margin_store_earliest_height",
            "Lowest height queries and proofs are answered at.",
            lambda: self.store.earliest_height,
        )
        if self.feed is not None:
            self.feed.start()
            feed = self.feed
            self.metrics.watch(
                "margin_feed_prices",
                "Prices in this validator's own feed.",
                lambda: len(feed.read()),
            )
        if self.config.metrics.address:
            host, _, port = self.config.metrics.address.rpartition(":")
            self._metrics_server = self.metrics.serve(host, int(port))
        if self.grpc is not None:
            self.grpc.start()
        if self.rest is not None:
            self.rest.start()
        self.abci.start()
        self._log.info(
            "node is up",
            chain=self.config.chain,
            height=self.store.height,
            abci=self.abci.address,
            grpc=self.config.grpc.address,
            rest=self.config.rest.address,
            metrics=self.config.metrics.address,
        )

    def wait(self, stopping: threading.Event) -> None:
        """Block until asked to stop; raises AbciHalted when the application had to halt."""
        while not stopping.is_set():
            if self.abci.wait(_STOP_POLL_S):
                return

    def stop(self) -> None:
        """Bring everything down, the socket first, the store last; may be called twice."""
        with self._stop_lock:
            if self._is_stopped:
                return
            self._is_stopped = True
        self.abci.stop()
        if self.grpc is not None:
            self.grpc.stop()
        if self.rest is not None:
            self.rest.stop()
        if self._metrics_server is not None:
            self._metrics_server.shutdown()
            self._metrics_server.server_close()
        if self.feed is not None:
            self.feed.stop()
        self.store.close()
        self._log.info("node is down", height=self.metrics_height)

    @property
    def metrics_height(self) -> int:
        """The last committed height as the figures know it, also after the store closed."""
        return int(self.metrics.registry.get_sample_value("margin_block_height") or 0)


def run_node(home: Path) -> None:
    """Run the node of a home until SIGTERM or SIGINT; raises what stopped it."""
    config = load_config(home)
    configure_logging(config.log)
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        structlog.get_logger("node").info("stopping", signal=signal.Signals(number).name)
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    node = Node(home, config)
    node.start()
    _tune_interpreter()
    try:
        node.wait(stopping)
    finally:
        node.stop()


def _tune_interpreter() -> None:
    """Hide what was loaded so far from the collector, and share the interpreter finely."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def configure_logging(settings: LogSettings) -> None:
    """Structured logs on standard error: aligned for people or one JSON object a line."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        # Not the default traceback, which prints locals: minutes for those of a large genesis.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([structlog.processors.format_exc_info] if settings.format == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
