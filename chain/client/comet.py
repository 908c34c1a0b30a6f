"""A typed client of CometBFT's JSON-RPC (v0.38): calls over HTTP, subscriptions over a websocket.

Answers are dataclasses around the protobuf messages that the rest of the program speaks. Every call
raises NodeUnavailable, RpcError or MalformedAnswer, never the exceptions of the HTTP library.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx2
import websockets
from websockets.asyncio.client import connect as connect_websocket

from chain._pb.tendermint.abci import types_pb2 as abci
from chain._pb.tendermint.types import block_pb2, params_pb2, types_pb2, validator_pb2
from chain.client import comet_json as parse
from chain.client.errors import (
    InvalidEndpoint,
    MalformedAnswer,
    NodeUnavailable,
    NotFound,
    RpcError,
)

T = TypeVar("T")

TIMEOUT_S: Final = 10.0
PER_PAGE_MAX: Final = 100
"""CometBFT gives at most 100 rows a page."""
CONNECTIONS_MAX: Final = 10
QUERIES_AT_ONCE_MAX: Final = 10
"""CometBFT's default max_request_batch_size."""
WEBSOCKET_BYTES_MAX: Final = 64 * 1024 * 1024
"""A NewBlock event carries the whole block with all results."""
_NOT_FOUND_TEXTS = ("not found", "could not find results")


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node says of itself; hashes and addresses are bytes, times ns since 1970."""

    node_id: str
    moniker: str
    network: str
    version: str
    listen_address: str
    rpc_address: str
    channels: bytes
    protocol: tuple[int, int, int]
    tx_index: str
    latest_height: int
    latest_time_ns: int
    latest_app_hash: bytes
    earliest_height: int
    is_catching_up: bool
    validator_address: bytes
    validator_power: int


@dataclass(frozen=True, slots=True)
class BroadcastResult:
    """What CheckTx said of a transaction; hash is upper-case hexadecimal."""

    hash: str
    code: int
    codespace: str
    log: str
    data: bytes


@dataclass(frozen=True, slots=True)
class CommittedTx:
    """A transaction in a block with its result; hash is upper-case hexadecimal."""

    hash: str
    height: int
    index: int
    tx: bytes
    result: abci.ExecTxResult


@dataclass(frozen=True, slots=True)
class TxPage:
    """One page of a transaction search; total counts all pages."""

    txs: tuple[CommittedTx, ...]
    total: int


@dataclass(frozen=True, slots=True)
class BlockAnswer:
    """A block and its id."""

    block_id: types_pb2.BlockID
    block: block_pb2.Block


@dataclass(frozen=True, slots=True)
class BlockResults:
    """What executing a block gave: a result a transaction and the events of the block itself."""

    height: int
    tx_results: tuple[abci.ExecTxResult, ...]
    events: tuple[abci.Event, ...]
    app_hash: bytes
    validator_updates: tuple[abci.ValidatorUpdate, ...]


@dataclass(frozen=True, slots=True)
class SubscriptionEvent:
    """One event: its type (`tendermint/event/Tx`), data and indexed attributes."""

    type: str
    value: Mapping[str, Any]
    attributes: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class StateQuery:
    """One ABCI query of a batch; height 0 means latest."""

    path: str
    data: bytes
    height: int = 0
    is_proven: bool = False


class CometClient:
    """An asynchronous client of one node's RPC; use it as a context manager or call aclose().

    `url` is http:// or https://, also tcp:// as CometBFT writes it. `transport` replaces the
    network in tests.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = normalize_rpc_url(url)
        self._timeout_s = timeout_s
        self._next_id = 0
        # A node on this machine must never be asked through a proxy of the environment.
        self._http = httpx2.AsyncClient(
            base_url=self.url,
            timeout=timeout_s,
            transport=transport,
            trust_env=False,
            # The pool looks at every connection for every call: few are faster than many.
            limits=httpx2.Limits(
                max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, method: str, **params: object) -> Mapping[str, Any]:
        """The `result` of one JSON-RPC call; parameters that are None are left out."""
        return _take_result(method, await self._post(method, self._build_request(method, params)))

    def _build_request(self, method: str, params: Mapping[str, object]) -> dict[str, object]:
        self._next_id += 1
        return {
            "jsonrpc": "2.0",
            "id": self._next_id,
            "method": method,
            "params": {key: value for key, value in params.items() if value is not None},
        }

    async def _post(self, method: str, request: object) -> Any:
        try:
            response = await self._http.post("/", json=request)
        except httpx2.HTTPError as error:
            raise NodeUnavailable(
                f"{method} at {self.url}: {error or type(error).__name__}; check that the "
                f"node runs and that its RPC address is right"
            ) from error
        try:
            return response.json()
        except ValueError as error:
            raise MalformedAnswer(
                f"{method} at {self.url}: HTTP status {response.status_code}, body is not JSON"
            ) from error

    async def status(self) -> NodeStatus:
        """Identity and progress of the node."""
        raw = await self.call("status")
        return _parsed("status", lambda: _parse_status(raw))

    async def health(self) -> None:
        """Nothing, when the node answers."""
        await self.call("health")

    async def abci_info(self) -> tuple[int, bytes]:
        """Last height and app hash of the application."""
        raw = await self.call("abci_info")
        return _parsed(
            "abci_info",
            lambda: (
                int(raw["response"].get("last_block_height") or 0),
                parse.parse_bytes(raw["response"].get("last_block_app_hash")),
            ),
        )

    async def genesis(self) -> Mapping[str, Any]:
        """The genesis document."""
        document: Mapping[str, Any] = (await self.call("genesis"))["genesis"]
        return document

    async def broadcast_tx_sync(self, tx: bytes) -> BroadcastResult:
        """CheckTx's answer; the transaction is in the mempool when code is 0."""
        raw = await self.call("broadcast_tx_sync", tx=base64.b64encode(tx).decode())
        return _parsed("broadcast_tx_sync", lambda: _parse_broadcast(raw))

    async def broadcast_tx_async(self, tx: bytes) -> BroadcastResult:
        """The hash alone: nothing has checked the transaction yet."""
        raw = await self.call("broadcast_tx_async", tx=base64.b64encode(tx).decode())
        return _parsed("broadcast_tx_async", lambda: _parse_broadcast(raw))

    async def tx(self, tx_hash: str) -> CommittedTx:
        """The committed transaction of a hexadecimal hash; raises NotFound."""
        try:
            key = base64.b64encode(bytes.fromhex(tx_hash)).decode()
        except ValueError as error:
            raise InvalidEndpoint(f"transaction hash {tx_hash!r} is not hexadecimal") from error
        raw = await self.call("tx", hash=key)
        return _parsed("tx", lambda: _parse_committed(raw))

    async def tx_search(
        self, query: str, *, page: int = 1, per_page: int = PER_PAGE_MAX, is_ascending: bool = True
    ) -> TxPage:
        """Transactions whose events match, e.g. `tx.height=5` or `transfer.sender='margin1…'`."""
        raw = await self.call(
            "tx_search",
            query=query,
            page=str(page),
            per_page=str(per_page),
            order_by="asc" if is_ascending else "desc",
        )
        return _parsed(
            "tx_search",
            lambda: TxPage(
                tuple(_parse_committed(item) for item in raw["txs"] or ()),
                int(raw["total_count"]),
            ),
        )

    async def block_search(
        self, query: str, *, page: int = 1, per_page: int = PER_PAGE_MAX, is_ascending: bool = True
    ) -> tuple[tuple[BlockAnswer, ...], int]:
        """Blocks whose own events match, and the count over all pages."""
        raw = await self.call(
            "block_search",
            query=query,
            page=str(page),
            per_page=str(per_page),
            order_by="asc" if is_ascending else "desc",
        )
        return _parsed(
            "block_search",
            lambda: (
                tuple(_parse_block_answer(item) for item in raw["blocks"] or ()),
                int(raw["total_count"]),
            ),
        )

    async def block(self, height: int | None = None) -> BlockAnswer:
        """The block at the height, or the latest."""
        raw = await self.call("block", height=_height(height))
        return _parsed("block", lambda: _parse_block_answer(raw))

    async def block_results(self, height: int | None = None) -> BlockResults:
        """Results and events of the block at the height, or the latest."""
        raw = await self.call("block_results", height=_height(height))
        return _parsed("block_results", lambda: _parse_block_results(raw))

    async def header(self, height: int | None = None) -> types_pb2.Header:
        """The header at the height, or the latest."""
        raw = await self.call("header", height=_height(height))
        return _parsed("header", lambda: parse.parse_header(raw["header"]))

    async def commit(self, height: int | None = None) -> types_pb2.SignedHeader:
        """Header and the commit that signed it; of the latest height a commit may still grow."""
        raw = await self.call("commit", height=_height(height))
        return _parsed("commit", lambda: parse.parse_signed_header(raw["signed_header"]))

    async def validators(self, height: int | None = None) -> validator_pb2.ValidatorSet:
        """The whole validator set at the height in CometBFT's order, all pages read."""
        found: list[validator_pb2.Validator] = []
        page, total = 1, 1
        while len(found) < total:
            raw = await self.call(
                "validators", height=_height(height), page=str(page), per_page=str(PER_PAGE_MAX)
            )
            rows = _parsed("validators", partial(_parse_validators, raw))
            if not rows:
                break
            # Later pages must be of the same height when the latest was asked for.
            height, total = int(raw["block_height"]), int(raw["total"])
            found += rows
            page += 1
        return parse.build_validator_set(found)

    async def consensus_params(self, height: int | None = None) -> params_pb2.ConsensusParams:
        """The consensus parameters in force at the height."""
        raw = await self.call("consensus_params", height=_height(height))
        return _parsed(
            "consensus_params", lambda: parse.parse_consensus_params(raw["consensus_params"])
        )

    async def abci_query(
        self, path: str, data: bytes, *, height: int = 0, prove: bool = False
    ) -> abci.ResponseQuery:
        """The application's answer, whatever its code; height 0 means latest."""
        raw = await self.call(
            "abci_query", path=path, data=data.hex(), height=str(height), prove=prove
        )
        return _parsed("abci_query", lambda: parse.parse_query_result(raw["response"]))

    async def wait_for_height(self, height: int, *, timeout_s: float = 30.0) -> NodeStatus:
        """The status once the height is committed; raises NodeUnavailable after the limit."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            status = await self.status()
            if status.latest_height >= height:
                return status
            if asyncio.get_running_loop().time() > deadline:
                raise NodeUnavailable(
                    f"{self.url} stands at height {status.latest_height}, not {height}, after "
                    f"{timeout_s:g} s; check that more than two thirds of the power is running"
                )
            await asyncio.sleep(0.1)

    async def abci_query_many(
        self, queries: Sequence[StateQuery]
    ) -> tuple[abci.ResponseQuery | RpcError, ...]:
        """The answers to at most QUERIES_AT_ONCE_MAX queries in one call, in their order.

        One that the node refused has its error in place of an answer.
        """
        requests = [
            self._build_request(
                "abci_query",
                {
                    "path": query.path,
                    "data": query.data.hex(),
                    "height": str(query.height),
                    "prove": query.is_proven,
                },
            )
            for query in queries
        ]
        rows = await self._post("abci_query", requests)
        if len(requests) == 1 and isinstance(rows, dict):
            rows = [rows]  # A batch of one is answered as a plain call.
        if not isinstance(rows, list):
            _take_result("abci_query", rows)
            raise MalformedAnswer(f"abci_query at {self.url}: a batch is answered by one object")
        by_id = {row.get("id"): row for row in rows if isinstance(row, dict)}
        return tuple(_take_query(by_id.get(request["id"])) for request in requests)

    @asynccontextmanager
    async def subscribe(self, *queries: str) -> AsyncIterator[AsyncIterator[SubscriptionEvent]]:
        """A stream of events that match any of the queries, e.g. `tm.event='NewBlock'`.

        The stream raises NodeUnavailable when the connection ends: treat polling as the truth and
        this as a wake-up.
        """
        url = "ws" + self.url.removeprefix("http") + "/websocket"
        try:
            socket = await connect_websocket(
                url,
                max_size=WEBSOCKET_BYTES_MAX,
                open_timeout=self._timeout_s,
                proxy=None,
            )
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            raise NodeUnavailable(f"websocket {url}: {error or type(error).__name__}") from error
        try:
            for number, query in enumerate(queries):
                request = {
                    "jsonrpc": "2.0",
                    "id": number,
                    "method": "subscribe",
                    "params": {"query": query},
                }
                await socket.send(json.dumps(request))
            yield _read_events(socket, url)
        finally:
            await socket.close()


async def _read_events(socket: Any, url: str) -> AsyncIterator[SubscriptionEvent]:
    """Events from the socket until it closes; the empty answers to `subscribe` are skipped."""
    try:
        async for text in socket:
            try:
                answer = json.loads(text)
            except ValueError as error:
                raise MalformedAnswer(f"websocket {url}: message is not JSON") from error
            result = _take_result("subscribe", answer)
            if not result:
                continue
            yield _parsed("subscribe", partial(_parse_subscription, result))
    except websockets.WebSocketException as error:
        raise NodeUnavailable(f"websocket {url} closed: {error}") from error
    raise NodeUnavailable(f"websocket {url} closed by the node")


def normalize_rpc_url(url: str) -> str:
    """The http(s) form of an RPC address, without a trailing slash; raises InvalidEndpoint."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "http", url
    if scheme == "tcp":
        scheme = "http"
    if scheme not in ("http", "https") or not rest.strip("/"):
        raise InvalidEndpoint(
            f"RPC address {url!r} must look like http://host:port or tcp://host:port"
        )
    return f"{scheme}://{rest.rstrip('/')}"


def _height(height: int | None) -> str | None:
    return None if height is None else str(height)


def _take_result(method: str, answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise MalformedAnswer(f"{method}: the answer is not a JSON object")
    error = answer.get("error")
    if error:
        message, data = str(error.get("message", "")), str(error.get("data", ""))
        detail = f"{method}: {message} {data}".strip()
        if any(text in data for text in _NOT_FOUND_TEXTS):
            raise NotFound(detail)
        raise RpcError(detail, rpc_code=error.get("code"), data=data)
    result = answer.get("result")
    if not isinstance(result, dict):
        raise MalformedAnswer(f"{method}: neither result nor error in the answer")
    return result


def _take_query(answer: object) -> abci.ResponseQuery | RpcError:
    try:
        raw = _take_result("abci_query", answer)
    except RpcError as error:
        return error
    return _parsed("abci_query", lambda: parse.parse_query_result(raw["response"]))


def _parsed(method: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedAnswer(f"{method}: {type(error).__name__}: {error}") from error


def _parse_validators(raw: Mapping[str, Any]) -> list[validator_pb2.Validator]:
    return [parse.parse_validator(item) for item in raw["validators"]]


def _parse_status(raw: Mapping[str, Any]) -> NodeStatus:
    node, sync, validator = raw["node_info"], raw["sync_info"], raw["validator_info"]
    protocol, other = node["protocol_version"], node["other"]
    return NodeStatus(
        node_id=node["id"],
        moniker=node["moniker"],
        network=node["network"],
        version=node["version"],
        listen_address=node["listen_addr"],
        rpc_address=other["rpc_address"],
        channels=parse.parse_hex(node["channels"]),
        protocol=(int(protocol["p2p"]), int(protocol["block"]), int(protocol["app"])),
        tx_index=other["tx_index"],
        latest_height=int(sync["latest_block_height"]),
        latest_time_ns=parse.parse_time_ns(sync["latest_block_time"]),
        latest_app_hash=parse.parse_hex(sync["latest_app_hash"]),
        earliest_height=int(sync["earliest_block_height"]),
        is_catching_up=bool(sync["catching_up"]),
        validator_address=parse.parse_hex(validator["address"]),
        validator_power=int(validator["voting_power"]),
    )


def _parse_broadcast(raw: Mapping[str, Any]) -> BroadcastResult:
    return BroadcastResult(
        hash=raw["hash"],
        code=int(raw["code"]),
        codespace=raw.get("codespace") or "",
        log=raw.get("log") or "",
        data=parse.parse_bytes(raw.get("data")),
    )


def _parse_committed(raw: Mapping[str, Any]) -> CommittedTx:
    return CommittedTx(
        hash=raw["hash"],
        height=int(raw["height"]),
        index=int(raw["index"]),
        tx=parse.parse_bytes(raw["tx"]),
        result=parse.parse_tx_result(raw["tx_result"]),
    )


def _parse_block_answer(raw: Mapping[str, Any]) -> BlockAnswer:
    return BlockAnswer(parse.parse_block_id(raw["block_id"]), parse.parse_block(raw["block"]))


def _parse_block_results(raw: Mapping[str, Any]) -> BlockResults:
    return BlockResults(
        height=int(raw["height"]),
        tx_results=tuple(parse.parse_tx_result(item) for item in raw["txs_results"] or ()),
        events=tuple(parse.parse_event(item) for item in raw["finalize_block_events"] or ()),
        app_hash=parse.parse_bytes(raw["app_hash"]),
        validator_updates=tuple(
            abci.ValidatorUpdate(
                pub_key=_parse_update_key(item["pub_key"]), power=int(item.get("power") or 0)
            )
            for item in raw["validator_updates"] or ()
        ),
    )


def _parse_update_key(raw: Mapping[str, Any]) -> Any:
    """The key of a validator update, which Go writes as `{"Sum": {"value": {"ed25519": …}}}`."""
    value = raw["Sum"]["value"] if "Sum" in raw else raw["value"]
    kind, text = next(iter(value.items()))
    return {kind: parse.parse_bytes(text)}


def _parse_subscription(raw: Mapping[str, Any]) -> SubscriptionEvent:
    return SubscriptionEvent(
        type=raw["data"]["type"], value=raw["data"]["value"], attributes=raw["events"]
    )
