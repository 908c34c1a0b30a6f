"""The node's Prometheus figures and the application wrapper that takes them.

Figures observe; nothing in consensus reads them. CometBFT serves its own on its own port.
"""

import collections
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from chain._pb.tendermint.abci import types_pb2 as abci

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_CHILDREN_MAX: Final = 1_024


class NodeMetrics:
    """All figures of one node, in a registry of their own (several nodes may share a process)."""

    def __init__(self, chain_type: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.build_info = Gauge(
            "margin_build_info",
            "Always 1; the label says which chain.",
            ["chain"],
            registry=self.registry,
        )
        self.build_info.labels(chain_type).set(1)
        self.height = Gauge(
            "margin_block_height", "Height of the last committed block.", registry=self.registry
        )
        self.block_time = Gauge(
            "margin_block_time_seconds", "Time of the last executed block.", registry=self.registry
        )
        self.transactions = Counter(
            "margin_transactions",
            "Transactions executed in blocks, by result code.",
            ["codespace", "code"],
            registry=self.registry,
        )
        self.checks = Counter(
            "margin_transaction_checks",
            "Transactions checked for the mempool, by kind and result code.",
            ["kind", "codespace", "code"],
            registry=self.registry,
        )
        self.bugs = Counter(
            "margin_shell_bugs",
            "Unexpected exceptions in the node's shell, each a programming error, by place.",
            ["place"],
            registry=self.registry,
        )
        self.call_seconds = Histogram(
            "margin_abci_call_seconds",
            "Seconds the application took for a call of CometBFT.",
            ["call"],
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.query_seconds = Histogram(
            "margin_query_seconds",
            "Seconds a gRPC method took, by method and status.",
            ["method", "status"],
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.queries_in_progress = Gauge(
            "margin_queries_in_progress", "gRPC calls under way.", registry=self.registry
        )
        self.validator_updates = Counter(
            "margin_validator_updates",
            "Changes of validator power handed to CometBFT.",
            registry=self.registry,
        )

    def watch(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Add a gauge read at scrape time, e.g. the hit rate of the store's cache."""
        Gauge(name, description, registry=self.registry).set_function(read)

    def watch_bugs(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Add the application's own counts of unexpected exceptions, read at scrape time."""
        self.registry.register(_BugCollector(read))

    def serve(self, host: str, port: int) -> WSGIServer:
        """A running HTTP server of the figures; shutdown() and server_close() end it."""
        server, _ = start_http_server(port, addr=host, registry=self.registry)
        return server


class _BugCollector(Collector):
    """The unexpected exceptions the application survived, by where they came from."""

    def __init__(self, read: Callable[[], Mapping[str, int]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """One counter, a sample a place."""
        family = CounterMetricFamily(
            "margin_bugs",
            "Unexpected exceptions in the application, each a programming error, by place.",
            labels=["place"],
        )
        for place, count in sorted(self._read().items()):
            family.add_metric([place], count)
        yield family


class MeteredApplication:
    """An ABCI application whose calls are timed and counted; answers pass unchanged."""

    def __init__(self, application: Any, metrics: NodeMetrics) -> None:
        self._application = application
        self._metrics = metrics
        # Looking up a child by its labels costs ten times what counting on it does.
        self._count_check = lru_cache(_CHILDREN_MAX)(metrics.checks.labels)
        self._time_call = lru_cache(_CHILDREN_MAX)(metrics.call_seconds.labels)

    def info(self, request: abci.RequestInfo) -> abci.ResponseInfo:
        """Info, and the height it reports."""
        response: abci.ResponseInfo = self._timed("info", request)
        self._metrics.height.set(response.last_block_height)
        return response

    def init_chain(self, request: abci.RequestInitChain) -> abci.ResponseInitChain:
        """InitChain."""
        response: abci.ResponseInitChain = self._timed("init_chain", request)
        return response

    def query(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        """Query."""
        response: abci.ResponseQuery = self._timed("query", request)
        return response

    def check_tx(self, request: abci.RequestCheckTx) -> abci.ResponseCheckTx:
        """CheckTx, counted by kind and code."""
        response: abci.ResponseCheckTx = self._timed("check_tx", request)
        kind = "recheck" if request.type == abci.RECHECK else "new"
        self._count_check(kind, response.codespace, response.code).inc()
        return response

    def prepare_proposal(
        self, request: abci.RequestPrepareProposal
    ) -> abci.ResponsePrepareProposal:
        """PrepareProposal."""
        response: abci.ResponsePrepareProposal = self._timed("prepare_proposal", request)
        return response

    def process_proposal(
        self, request: abci.RequestProcessProposal
    ) -> abci.ResponseProcessProposal:
        """ProcessProposal."""
        response: abci.ResponseProcessProposal = self._timed("process_proposal", request)
        return response

    def extend_vote(self, request: abci.RequestExtendVote) -> abci.ResponseExtendVote:
        """ExtendVote."""
        response: abci.ResponseExtendVote = self._timed("extend_vote", request)
        return response

    def verify_vote_extension(
        self, request: abci.RequestVerifyVoteExtension
    ) -> abci.ResponseVerifyVoteExtension:
        """VerifyVoteExtension."""
        response: abci.ResponseVerifyVoteExtension = self._timed("verify_vote_extension", request)
        return response

    def finalize_block(self, request: abci.RequestFinalizeBlock) -> abci.ResponseFinalizeBlock:
        """FinalizeBlock; its results are counted by code."""
        response: abci.ResponseFinalizeBlock = self._timed("finalize_block", request)
        metrics = self._metrics
        counts = collections.Counter((item.codespace, item.code) for item in response.tx_results)
        for labels, count in counts.items():
            metrics.transactions.labels(*labels).inc(count)
        metrics.validator_updates.inc(len(response.validator_updates))
        metrics.height.set(request.height)
        metrics.block_time.set(request.time.seconds)
        return response

    def commit(self, request: abci.RequestCommit) -> abci.ResponseCommit:
        """Commit."""
        response: abci.ResponseCommit = self._timed("commit", request)
        return response

    def list_snapshots(self, request: abci.RequestListSnapshots) -> abci.ResponseListSnapshots:
        """ListSnapshots."""
        response: abci.ResponseListSnapshots = self._timed("list_snapshots", request)
        return response

    def offer_snapshot(self, request: abci.RequestOfferSnapshot) -> abci.ResponseOfferSnapshot:
        """OfferSnapshot."""
        response: abci.ResponseOfferSnapshot = self._timed("offer_snapshot", request)
        return response

    def load_snapshot_chunk(
        self, request: abci.RequestLoadSnapshotChunk
    ) -> abci.ResponseLoadSnapshotChunk:
        """LoadSnapshotChunk."""
        response: abci.ResponseLoadSnapshotChunk = self._timed("load_snapshot_chunk", request)
        return response

    def apply_snapshot_chunk(
        self, request: abci.RequestApplySnapshotChunk
    ) -> abci.ResponseApplySnapshotChunk:
        """ApplySnapshotChunk."""
        response: abci.ResponseApplySnapshotChunk = self._timed("apply_snapshot_chunk", request)
        return response

    def _timed(self, call: str, request: Any) -> Any:
        start = time.perf_counter()
        try:
            return getattr(self._application, call)(request)
        except Exception:
            self._metrics.bugs.labels(call).inc()
            raise
        finally:
            self._time_call(call).observe(time.perf_counter() - start)
