"""ABCI queries: store keys with proofs, and gRPC methods by their path."""

from typing import Final

from google.protobuf.message import DecodeError

from chain._pb.tendermint.abci import types_pb2 as abci
from chain._pb.tendermint.crypto import proof_pb2
from chain.errors import INTERNAL_CODE, INTERNAL_CODESPACE, INTERNAL_TEXT, ChainError
from chain.runtime import consensus
from chain.runtime.commit_store import CommitStore, EmptyStoreHasNoProof, UnknownStore
from chain.runtime.context import Context, Mode
from chain.runtime.errors import InvalidHeight, InvalidRequest, NotFound, UnknownRequest
from chain.runtime.execution import LOG_SIZE_MAX, ErrorCounts
from chain.runtime.gas import GasMeter
from chain.runtime.router import Router
from chain.runtime.store import Branch

REQUEST_BYTES_MAX: Final = 1 << 20


class QueryServer:
    """Answers from committed versions; any thread may call it."""

    def __init__(
        self, router: Router, store: CommitStore, errors: ErrorCounts, gas_limit: int
    ) -> None:
        self._router = router
        self._store = store
        self._errors = errors
        self._gas_limit = gas_limit

    def get_context(self, height: int = 0) -> Context:
        """A read-only view after block `height` (0: the last); raises HeightNotAvailable."""
        height = height or self._store.height
        if height < 0 or not self._store.height:
            raise InvalidHeight(f"height {height} cannot be answered; the chain has no such block")
        ctx = Context(
            chain_id="",
            height=height,
            time_ns=0,
            store=Branch(self._store.at(height)),
            mode=Mode.QUERY,
        )
        ctx.chain_id = consensus.get_chain_id(ctx)
        ctx.time_ns = consensus.get_block_time_ns(ctx)
        ctx.gas = GasMeter(self._gas_limit)
        ctx.router = self._router
        return ctx

    def run(self, path: str, data: bytes, height: int = 0) -> tuple[bytes, int]:
        """A gRPC method's response bytes and the height they are of; raises ChainError."""
        route = self._router.queries.get(path)
        if route is None:
            raise UnknownRequest(f"unknown query path {path[:200]}")
        if len(data) > REQUEST_BYTES_MAX:
            raise InvalidRequest(f"request of {len(data)} bytes is above {REQUEST_BYTES_MAX}")
        try:
            request = route.request.FromString(data)
        except DecodeError:
            raise InvalidRequest(f"request is not {route.request.DESCRIPTOR.full_name}") from None
        ctx = self.get_context(height)
        return route.handler(ctx, request).SerializeToString(deterministic=True), ctx.height

    def answer(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        """The ABCI answer; refusals become codes, never exceptions."""
        height = request.height or self._store.height
        try:
            parts = request.path.removeprefix("/").split("/")
            if len(parts) == 3 and parts[0] == "store" and parts[2] == "key":
                return self._answer_key(parts[1], request)
            value, height = self.run(request.path, request.data, request.height)
        except ChainError as error:
            log = str(error)
            if isinstance(error, NotFound):
                log = f"rpc error: code = NotFound desc = {log}"
            return abci.ResponseQuery(
                code=error.code, codespace=error.codespace, log=log[:LOG_SIZE_MAX], height=height
            )
        except Exception as error:  # noqa: BLE001 - a query must not stop the node
            self._errors.record("query", error)
            return abci.ResponseQuery(
                code=INTERNAL_CODE, codespace=INTERNAL_CODESPACE, log=INTERNAL_TEXT, height=height
            )
        return abci.ResponseQuery(value=value, height=height)

    def _answer_key(self, store: str, request: abci.RequestQuery) -> abci.ResponseQuery:
        height = request.height or self._store.height
        if height < 1 or height > self._store.height:
            raise InvalidHeight(f"height {height} is not within 1 and {self._store.height}")
        if store not in self._store.store_names:
            raise UnknownRequest(f"no such store: {store[:100]}")
        if not request.data:
            raise InvalidRequest("query data (the key) is empty")
        response = abci.ResponseQuery(height=height, key=request.data)
        if not request.prove:
            response.value = self._store.at(height).get(store, request.data) or b""
            return response
        try:
            value, (leaf, multistore) = self._store.prove(store, request.data, height)
        except (UnknownStore, EmptyStoreHasNoProof) as error:
            raise InvalidRequest(str(error)) from None
        response.value = value or b""
        response.proof_ops.ops.extend(
            (
                proof_pb2.ProofOp(type="ics23:iavl", key=request.data, data=leaf),
                proof_pb2.ProofOp(type="ics23:simple", key=store.encode(), data=multistore),
            )
        )
        return response
