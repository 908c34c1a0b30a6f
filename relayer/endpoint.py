"""One chain as the relayer reaches it: state with proofs, queries and blocks, over its RPC nodes.

Every query travels as an ABCI query, so that one RPC address a node is enough. With several nodes
the first that answers and is not behind serves; a node that stops answering is left for the next.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog
from google.protobuf.message import Message

from chain._pb.cosmos.ics23.v1 import proofs_pb2
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain._pb.tendermint.crypto import proof_pb2
from chain.client.comet import QUERIES_AT_ONCE_MAX, CometClient, StateQuery
from chain.client.errors import MalformedAnswer, NodeUnavailable, NotFound, QueryRefused, RpcError
from chain.ibc.height import parse_revision
from relayer.config import ChainSection
from relayer.plan import Tip
from relayer.telemetry import Telemetry

T = TypeVar("T")
M = TypeVar("M", bound=Message)

CALLS_AT_ONCE_MAX: Final = 8
"""Batches of queries under way at once: a node answers one after the other anyway."""
TIP_AGE_S_MAX: Final = 0.1
HEIGHT_LAG_MAX: Final = 5
"""A node this many blocks behind the best one known is not asked."""
_NOT_FOUND_MARKS: Final = ("code = NotFound", "not found")

_Waiting = tuple[StateQuery, "asyncio.Future[abci.ResponseQuery]"]

log = structlog.get_logger("relayer.endpoint")


@dataclass(frozen=True, slots=True)
class ProvenValue:
    """A value (None: absent) of the provable store after a block, with its proof.

    `proof_height` is the height of the header whose app hash proves it: the block's plus one.
    """

    value: bytes | None
    proof: bytes
    proof_height: int


class Endpoint:
    """The connections to one chain; close it with aclose()."""

    def __init__(self, section: ChainSection, telemetry: Telemetry) -> None:
        self.section = section
        self.chain_id = section.id
        self.revision = parse_revision(section.id)
        self.telemetry = telemetry
        self._clients = [
            CometClient(address, timeout_s=section.rpc_timeout_s) for address in section.rpc_addrs
        ]
        self._current = 0
        self._best_height = 0
        self._last_tip = Tip(self.revision, 0, 0)
        self.block_interval_s = 1.0
        self._nodes: tuple[Endpoint, ...] = ()
        self._waiting: list[_Waiting] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE_MAX)
        self._tip_s = 0.0

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()
        for node in self._nodes:
            await node.aclose()

    def split(self) -> "tuple[Endpoint, ...]":
        """An endpoint for each node alone, to ask them all; with one node, this endpoint."""
        if len(self._clients) == 1:
            return (self,)
        if not self._nodes:
            self._nodes = tuple(
                Endpoint(self.section.model_copy(update={"rpc_addrs": (address,)}), self.telemetry)
                for address in self.section.rpc_addrs
            )
        return self._nodes

    @property
    def client(self) -> CometClient:
        """The node in use."""
        return self._clients[self._current]

    async def ask(self, kind: str, call: Callable[[CometClient], Awaitable[T]]) -> T:
        """One call on the node in use, moved to the next node when it does not answer.

        Raises NodeUnavailable once every node has failed.
        """
        failure: NodeUnavailable | None = None
        for _ in self._clients:
            asked = self.client
            self.telemetry.queries.labels(self.chain_id, kind).inc()
            try:
                # A frozen node keeps its socket open: the limit must not depend on the transport.
                async with asyncio.timeout(self.section.rpc_timeout_s + 1):
                    return await call(asked)
            except (NodeUnavailable, TimeoutError) as error:
                self.telemetry.query_errors.labels(self.chain_id, kind).inc()
                failure = (
                    error
                    if isinstance(error, NodeUnavailable)
                    else NodeUnavailable(f"{kind} at {asked.url}: no answer in time")
                )
                self._leave(asked, str(failure))
        assert failure is not None
        raise failure

    def _leave(self, client: CometClient, reason: str) -> None:
        """Turn to the next node, unless another call has left this one already."""
        if len(self._clients) > 1 and client is self.client:
            self._current = (self._current + 1) % len(self._clients)
            self.telemetry.endpoint_changes.labels(self.chain_id).inc()
            log.warning("endpoint_changed", chain=self.chain_id, to=self.client.url, reason=reason)

    async def latest(self) -> Tip:
        """The newest block: its height and time, at most TIP_AGE_S_MAX old.

        A node that lags far behind is left.
        """
        if time.monotonic() < self._tip_s + TIP_AGE_S_MAX:
            return self._last_tip
        for _ in self._clients:
            status = await self.ask("status", lambda client: client.status())
            if status.network != self.chain_id:
                raise MalformedAnswer(
                    f"{self.client.url} serves chain {status.network!r}, configured is "
                    f"{self.chain_id!r}; correct rpc_addrs"
                )
            self._best_height = max(self._best_height, status.latest_height)
            if status.latest_height + HEIGHT_LAG_MAX >= self._best_height:
                break
            self._leave(self.client, f"height {status.latest_height} < {self._best_height}")
        self.telemetry.chain_latest_height.labels(self.chain_id).set(status.latest_height)
        tip = Tip(self.revision, status.latest_height, status.latest_time_ns)
        self._measure(tip)
        return tip

    def _measure(self, tip: Tip) -> None:
        """Keep a moving average of the seconds between blocks."""
        previous, self._last_tip = self._last_tip, tip
        self._tip_s = time.monotonic()
        if 0 < previous.height < tip.height:
            interval_s = (tip.time_ns - previous.time_ns) / 1e9 / (tip.height - previous.height)
            self.block_interval_s += (min(max(interval_s, 0.05), 60.0) - self.block_interval_s) / 8

    async def wait_for_height(self, height: int) -> None:
        """Return once the block at the height is committed."""
        while (await self.latest()).height < height:
            await asyncio.sleep(min(0.2, self.section.poll_interval_ms / 1000))

    async def query_state(self, path: bytes, height: int, *, prove: bool) -> ProvenValue:
        """A value of the provable store after the block at the height (0: the latest committed).

        Raises QueryRefused when the height is pruned or not there yet.
        """
        answer = await self._query_batched(
            StateQuery(f"store/{self.section.store_prefix}/key", path, height, prove)
        )
        if answer.code:
            raise QueryRefused(
                f"{path.decode()} at height {height} of {self.chain_id}: {answer.log}",
                status=answer.code,
            )
        if prove and not answer.proof_ops.ops:
            raise MalformedAnswer(f"{path.decode()} of {self.chain_id} came without its proof")
        return ProvenValue(
            value=answer.value or None,
            proof=encode_merkle_proof(answer.proof_ops) if prove else b"",
            proof_height=answer.height + 1,
        )

    async def _query_batched(self, query: StateQuery) -> abci.ResponseQuery:
        """A query that travels with all others of this moment: a call costs more than a query."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[abci.ResponseQuery] = loop.create_future()
        self._waiting.append((query, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._send_waiting)
        return await future

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), QUERIES_AT_ONCE_MAX):
            task = asyncio.create_task(self._ask_many(waiting[start : start + QUERIES_AT_ONCE_MAX]))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask_many(self, waiting: "list[_Waiting]") -> None:
        try:
            async with self._slots:
                answers = await self.ask(
                    "store",
                    lambda client: client.abci_query_many([query for query, _ in waiting]),
                )
        except BaseException as error:
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(waiting, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, RpcError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def query(self, path: str, request: Message, response: type[M], height: int = 0) -> M:
        """A gRPC query by its method path; raises NotFound and QueryRefused."""
        answer = await self.ask(
            path,
            lambda client: client.abci_query(path, request.SerializeToString(), height=height),
        )
        if answer.code:
            if any(mark in answer.log for mark in _NOT_FOUND_MARKS):
                raise NotFound(f"{path} of {self.chain_id}: {answer.log}")
            raise QueryRefused(f"{path} of {self.chain_id}: {answer.log}", status=answer.code)
        return response.FromString(answer.value)


def encode_merkle_proof(operations: proof_pb2.ProofOps) -> bytes:
    """The ibc.core.commitment.v1.MerkleProof of an ABCI query's proof operations, store first."""
    proofs = [proofs_pb2.CommitmentProof.FromString(op.data) for op in operations.ops]
    return commitment_pb2.MerkleProof(proofs=proofs).SerializeToString()
