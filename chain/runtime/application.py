"""The ABCI 2.0 application: CometBFT's sixteen calls over any chain definition and commit store.

States: the committed state; the check state, a branch that CheckTx and Simulate see, where
sequences advance before the commit; the block branch of FinalizeBlock, staged in the store and
persisted by Commit. FinalizeBlock may come again for a height that was never committed.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any, Final

import structlog
from google.protobuf.message import DecodeError

from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2 as base_abci_pb2
from chain._pb.cosmos.tx.v1beta1 import service_pb2 as tx_service_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain._pb.tendermint.crypto import keys_pb2
from chain.errors import ChainError
from chain.runtime import consensus
from chain.runtime.ante import Ante, GasPrice, PreparedTx, SignatureCache, prepare_tx
from chain.runtime.commit_store import CommitStore, Snapshot
from chain.runtime.context import Context, Mode
from chain.runtime.definition import ChainDefinition, Misbehavior
from chain.runtime.errors import (
    Halted,
    InternalFailure,
    InvalidBlock,
    InvalidGenesis,
    NotOurTurn,
)
from chain.runtime.execution import (
    ErrorCounts,
    Executor,
    Outcome,
    add_events,
    build_refused_tx_result,
    build_tx_result,
)
from chain.runtime.genesis import (
    build_genesis_document,
    encode_genesis,
    init_modules,
    parse_app_state,
)
from chain.runtime.module import Module, Vote
from chain.runtime.queries import QueryServer
from chain.runtime.router import Router
from chain.runtime.store import Branch
from chain.runtime.tx import TX_BYTES_MAX, encode_tx
from chain.runtime.vote_extensions import (
    decode_injected_commit,
    encode_injected_commit,
    get_votes,
    is_injected_commit,
    validate_injected_commit,
)
from chain.units import NANOSECONDS

APP_VERSION: Final = 1
SIMULATE_PATH: Final = "/cosmos.tx.v1beta1.Service/Simulate"
_PREPARED_BYTES_MAX: Final = 8 << 20
"""Two full blocks; a prepared transaction takes about ten times its bytes of memory."""

_log = structlog.get_logger("chain.runtime")


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What an operator chooses; nothing here may change a block's result."""

    minimum_gas_prices: tuple[GasPrice, ...] = ()
    halt_height: int = 0
    """Stop before executing a block above this height; 0: never."""
    query_gas_limit: int = 50_000_000
    retain_blocks: int = 0
    """Blocks CometBFT may prune below the last height minus this; 0: prune none."""
    version: str = ""


class PreparedCache:
    """Prepared transactions by their bytes, bounded: CheckTx decodes, FinalizeBlock takes out."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, PreparedTx] = OrderedDict()
        self._size = 0
        self._lock = RLock()

    def get(self, raw: bytes) -> PreparedTx | None:
        """The transaction decoded before, or None."""
        return self._entries.get(raw)

    def discard(self, raw: bytes) -> None:
        """Forget a transaction that was executed."""
        with self._lock:
            if self._entries.pop(raw, None) is not None:
                self._size -= len(raw)

    def add(self, prepared: PreparedTx) -> None:
        """Remember a transaction, forgetting the oldest over the bound."""
        with self._lock:
            raw = prepared.tx.raw
            if raw not in self._entries:
                self._entries[raw] = prepared
                self._size += len(raw)
            while self._size > _PREPARED_BYTES_MAX:
                self._size -= len(self._entries.popitem(last=False)[0])


class Application:
    """One chain's state machine. Its methods are ABCI's calls, from request to response message.

    Threads: the consensus calls come one at a time; check_tx, simulate, query and run_query may
    come beside them. An operator's fault (InvalidGenesis, Halted, NotOurTurn) is raised and stops
    the node.
    """

    def __init__(
        self,
        definition: ChainDefinition,
        store: CommitStore,
        options: NodeOptions | None = None,
        node_modules: Sequence[Module] = (),
    ) -> None:
        """`node_modules` answer queries about the node itself; they own neither stores nor
        messages.
        """
        assert not any(module.stores or module.messages for module in node_modules)
        self.definition = definition
        self.options = options or NodeOptions()
        self.errors = ErrorCounts()
        self.router = Router((*definition.modules, *node_modules))
        self._store = store
        self._prepared = PreparedCache()
        self._signatures = SignatureCache()
        ante = Ante(
            self.router,
            definition.accounts,
            definition.fees,
            self._signatures,
            self.options.minimum_gas_prices,
        )
        checks = [m.check_transaction for m in definition.modules if m.check_transaction]
        self._executor = Executor(self.router, ante, self.errors, checks)
        self.queries = QueryServer(self.router, store, self.errors, self.options.query_gas_limit)
        self._check_lock = RLock()
        self._staged_time_ns = 0
        self._initial_height = 1
        self._check_ctx = self._build_check_context()

    # Contexts.

    def _build_check_context(self) -> Context:
        """A fresh check state over the committed state: it stands at the next height."""
        ctx = Context(
            chain_id="", height=self._next_height(), time_ns=0, store=Branch(self._store.latest())
        )
        ctx.chain_id = consensus.get_chain_id(ctx)
        ctx.time_ns = consensus.get_block_time_ns(ctx)
        ctx.mode = Mode.CHECK
        return ctx

    def _next_height(self) -> int:
        return self._store.height + 1 if self._store.height else self._initial_height

    def _build_block_context(self, request: Any) -> Context:
        ctx = Context(
            chain_id="",
            height=request.height,
            time_ns=request.time.seconds * NANOSECONDS + request.time.nanos,
            store=Branch(self._store.latest()),
            proposer_address=request.proposer_address,
            router=self.router,
        )
        ctx.chain_id = consensus.get_chain_id(ctx)
        return ctx

    # Life.

    def info(self, request: abci.RequestInfo) -> abci.ResponseInfo:
        """The last committed height and app hash."""
        del request
        return abci.ResponseInfo(
            data=self.definition.name,
            version=self.options.version,
            app_version=APP_VERSION,
            last_block_height=self._store.height,
            last_block_app_hash=self._store.app_hash,
        )

    def init_chain(self, request: abci.RequestInitChain) -> abci.ResponseInitChain:
        """The state of the genesis; raises InvalidGenesis naming the path of what is wrong."""
        if self._store.height:
            raise NotOurTurn(f"InitChain at height {self._store.height}")
        parts = parse_app_state(self.definition, request.app_state_bytes)
        self._initial_height = request.initial_height or 1
        time_ns = request.time.seconds * NANOSECONDS + request.time.nanos
        ctx = Context(
            chain_id=request.chain_id,
            height=self._initial_height,
            time_ns=time_ns,
            store=Branch(self._store.latest()),
            mode=Mode.GENESIS,
            router=self.router,
        )
        consensus.set_chain_id(ctx, request.chain_id)
        consensus.set_block_time_ns(ctx, time_ns)
        consensus.set_params(ctx, request.consensus_params)
        init_modules(ctx, self.definition, parts)
        updates = self._build_validator_updates(ctx)
        stated = {_get_key(update): update.power for update in request.validators}
        if stated and stated != {_get_key(update): update.power for update in updates}:
            raise InvalidGenesis(
                "validators: the list of the genesis document differs from app_state.validators; "
                "leave it out or make both equal"
            )
        app_hash = self._store.write_genesis(self._initial_height, ctx.store.net_writes())
        with self._check_lock:
            self._check_ctx = self._build_check_context()
        return abci.ResponseInitChain(validators=updates, app_hash=app_hash)

    def _build_validator_updates(self, ctx: Context) -> list[abci.ValidatorUpdate]:
        return [
            abci.ValidatorUpdate(pub_key=keys_pb2.PublicKey(ed25519=key), power=power)
            for key, power in self.definition.validators.take_updates(ctx)
        ]

    def export_genesis(self) -> bytes:
        """The last committed state as a genesis document: equal states give equal bytes."""
        ctx = self.queries.get_context()
        ctx.gas.limit = None
        return encode_genesis(build_genesis_document(ctx, self.definition))

    # Mempool.

    def _prepare(self, raw: bytes) -> PreparedTx:
        """The transaction of the bytes; raises ChainError, and nothing else that goes on."""
        prepared = self._prepared.get(raw)
        if prepared is not None:
            return prepared
        try:
            return prepare_tx(self.router, raw)
        except ChainError:
            raise
        except Exception as error:  # noqa: BLE001 - the same refusal on every node
            self.errors.record("prepare_tx", error)
            raise InternalFailure from None

    def check_tx(self, request: abci.RequestCheckTx) -> abci.ResponseCheckTx:
        """Whether the transaction may enter or stay in the mempool: decoding and the ante."""
        try:
            prepared = self._prepare(request.tx)
        except ChainError as error:
            refused = build_refused_tx_result(error)
            return abci.ResponseCheckTx(
                code=refused.code, codespace=refused.codespace, log=refused.log
            )
        mode = Mode.RECHECK if request.type == abci.RECHECK else Mode.CHECK
        with self._check_lock:
            self._check_ctx.mode = mode
            outcome = self._executor.run(self._check_ctx, prepared, messages=False)
        if not outcome.code:
            self._prepared.add(prepared)
        return abci.ResponseCheckTx(
            code=outcome.code,
            codespace=outcome.codespace,
            log=outcome.log,
            gas_wanted=outcome.gas_wanted,
            gas_used=outcome.gas_used,
        )

    def simulate(self, raw: bytes) -> tuple[base_abci_pb2.GasInfo, base_abci_pb2.Result]:
        """Gas and result of ante and messages on the check state, of which nothing is kept.

        Signatures and keys may be empty; the sequence must be right. Raises ChainError.
        """
        outcome = self.run_simulation(raw)
        if outcome.error is not None:
            raise outcome.error
        gas = base_abci_pb2.GasInfo(gas_wanted=outcome.gas_wanted, gas_used=outcome.gas_used)
        result = base_abci_pb2.Result(
            data=outcome.build_data(),
            log=outcome.log,
            msg_responses=outcome.responses,
        )
        add_events(result.events, outcome.events)
        return gas, result

    def run_simulation(self, raw: bytes) -> Outcome:
        """The outcome of a simulated transaction, refused or not; raises ChainError on bad
        bytes.
        """
        prepared = self._prepare(raw)
        with self._check_lock:
            check = self._check_ctx
            ctx = Context(
                chain_id=check.chain_id,
                height=check.height,
                time_ns=check.time_ns,
                store=check.store.branch(),
                mode=Mode.SIMULATE,
                router=self.router,
            )
            return self._executor.run(ctx, prepared, messages=True)

    # Consensus.

    def prepare_proposal(
        self, request: abci.RequestPrepareProposal
    ) -> abci.ResponsePrepareProposal:
        """The mempool's transactions in their order, under the block's bytes and gas, after the
        votes.
        """
        ctx = self._build_block_context(request)
        params = consensus.get_params(ctx)
        chosen: list[bytes] = []
        room = request.max_tx_bytes
        if self._is_commit_due(params, request.height):
            item = encode_injected_commit(request.local_last_commit)
            chosen.append(item)
            room -= _compute_block_size(item)
        gas_room = params.block.max_gas if params.block.max_gas > 0 else None
        for raw in request.txs:
            if is_injected_commit(raw):
                continue
            size = _compute_block_size(raw)
            if size > room:
                break
            if gas_room is not None:
                try:
                    gas_wanted = self._prepare(raw).gas_limit
                except ChainError:
                    continue
                if gas_wanted > gas_room:
                    continue
                gas_room -= gas_wanted
            chosen.append(raw)
            room -= size
        return abci.ResponsePrepareProposal(txs=chosen)

    def process_proposal(
        self, request: abci.RequestProcessProposal
    ) -> abci.ResponseProcessProposal:
        """REJECT when the votes are missing, false or misplaced, or an item is too large."""
        try:
            self._validate_proposal(request)
        except ChainError as error:
            _log.warning("proposal rejected", height=request.height, reason=str(error))
            return abci.ResponseProcessProposal(status=abci.ResponseProcessProposal.REJECT)
        return abci.ResponseProcessProposal(status=abci.ResponseProcessProposal.ACCEPT)

    def _is_commit_due(self, params: Any, height: int) -> bool:
        return self.definition.vote_extensions is not None and consensus.is_vote_extension_due(
            params, height
        )

    def _validate_proposal(self, request: abci.RequestProcessProposal) -> None:
        ctx = self._build_block_context(request)
        items = list(request.txs)
        if self._is_commit_due(consensus.get_params(ctx), request.height):
            if not items or not is_injected_commit(items[0]):
                raise InvalidBlock("the first item must be the extended commit of the last height")
            extended = decode_injected_commit(items.pop(0))
            members = self.definition.validators.get_set(ctx, request.height - 1)
            validate_injected_commit(
                extended,
                request.proposed_last_commit,
                ctx.chain_id,
                request.height - 1,
                members,
            )
        for item in items:
            if is_injected_commit(item):
                raise InvalidBlock("an extended commit where none may stand")
            if len(item) > TX_BYTES_MAX:
                raise InvalidBlock(f"an item of {len(item)} bytes is above {TX_BYTES_MAX}")

    def extend_vote(self, request: abci.RequestExtendVote) -> abci.ResponseExtendVote:
        """The node's word on prices; empty when the chain has no rules or they fail."""
        rules = self.definition.vote_extensions
        if rules is None:
            return abci.ResponseExtendVote()
        try:
            extension = rules.extend_vote(self._build_block_context(request))
        except Exception as error:  # noqa: BLE001 - a dead feed must not stop the vote
            self.errors.record("extend_vote", error)
            extension = b""
        return abci.ResponseExtendVote(vote_extension=extension)

    def verify_vote_extension(
        self, request: abci.RequestVerifyVoteExtension
    ) -> abci.ResponseVerifyVoteExtension:
        """ACCEPT when size and encoding are right; an empty one always is."""
        extension = request.vote_extension
        rules = self.definition.vote_extensions
        accepted = not extension
        if extension and rules is not None:
            ctx = Context(
                chain_id=self._check_ctx.chain_id,
                height=request.height,
                time_ns=0,
                store=Branch(self._store.latest()),
            )
            try:
                accepted = rules.is_acceptable(ctx, extension)
            except Exception as error:  # noqa: BLE001 - malformed bytes must not stop the node
                self.errors.record("verify_vote_extension", error)
        status = abci.ResponseVerifyVoteExtension
        return status(status=status.ACCEPT if accepted else status.REJECT)

    def finalize_block(self, request: abci.RequestFinalizeBlock) -> abci.ResponseFinalizeBlock:
        """Execute a decided block; nothing is durable before commit."""
        if request.height != self._next_height():
            raise NotOurTurn(f"block {request.height} where {self._next_height()} comes next")
        if self.options.halt_height and request.height > self.options.halt_height:
            raise Halted(f"halt height {self.options.halt_height} is reached; migrate and restart")
        ctx = self._build_block_context(request)
        consensus.set_block_time_ns(ctx, ctx.time_ns)
        items = list(request.txs)
        results: list[abci.ExecTxResult] = []
        self._handle_evidence(ctx, request.misbehavior)
        if items and self._is_commit_due(consensus.get_params(ctx), request.height):
            votes = self._read_votes(items[0])
            if votes is not None:
                results.append(abci.ExecTxResult())
                items.pop(0)
                self._process_votes(ctx, votes)
        for module in self.definition.modules:
            if module.begin_block is not None:
                self._run_hook(ctx, f"{module.name}.begin_block", module.begin_block)
        results.extend(self._run_txs(ctx, items))
        for module in self.definition.modules:
            if module.end_block is not None:
                self._run_hook(ctx, f"{module.name}.end_block", module.end_block)
        updates = self._build_validator_updates(ctx)
        app_hash = self._store.stage(request.height, ctx.store.net_writes())
        response = abci.ResponseFinalizeBlock(
            tx_results=results, validator_updates=updates, app_hash=app_hash
        )
        add_events(response.events, ctx.events)
        return response

    @staticmethod
    def _read_votes(item: bytes) -> list[Vote] | None:
        """The votes at the head of a block, or None when a 2/3 majority let something else
        through.
        """
        if not is_injected_commit(item):
            return None
        try:
            return get_votes(decode_injected_commit(item))
        except ChainError:
            return None

    def _process_votes(self, ctx: Context, votes: Sequence[Vote]) -> None:
        rules = self.definition.vote_extensions
        assert rules is not None
        self._run_hook(ctx, "vote_extensions", lambda child: rules.process_votes(child, votes))

    def _handle_evidence(self, ctx: Context, items: Sequence[Any]) -> None:
        for item in items:
            misbehavior = Misbehavior(
                kind=item.type,
                address=item.validator.address,
                power=item.validator.power,
                height=item.height,
                time_ns=item.time.seconds * NANOSECONDS + item.time.nanos,
            )

            def handle(child: Context, misbehavior: Misbehavior = misbehavior) -> None:
                self.definition.validators.handle_misbehavior(child, misbehavior)

            self._run_hook(ctx, "evidence", handle)

    def _run_hook(self, ctx: Context, place: str, hook: Callable[[Context], None]) -> None:
        """A hook in a branch of its own: when it fails its writes go, the block continues."""
        try:
            with ctx.branch() as child:
                hook(child)
        except Exception as error:  # noqa: BLE001 - a hook must not stop the chain
            self.errors.record(place, error)
            ctx.emit("hook_failed", {"hook": place})

    def _run_txs(self, ctx: Context, items: Sequence[bytes]) -> list[abci.ExecTxResult]:
        results = []
        for raw in items:
            try:
                prepared = self._prepare(raw)
            except ChainError as error:
                results.append(build_refused_tx_result(error))
                continue
            self._prepared.discard(raw)
            results.append(build_tx_result(self._executor.run(ctx, prepared, messages=True)))
        return results

    def commit(self, request: abci.RequestCommit) -> abci.ResponseCommit:
        """Make the executed block durable and start the check state anew."""
        del request
        with self._check_lock:
            self._store.commit()
            self._check_ctx = self._build_check_context()
        retain = self.options.retain_blocks
        return abci.ResponseCommit(
            retain_height=max(0, self._store.height - retain) if retain else 0
        )

    # Queries.

    def query(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        """A read of committed state, by gRPC method path or store path with proof."""
        if request.path.removeprefix("/") == SIMULATE_PATH.removeprefix("/"):
            return self._answer_simulation(request)
        return self.queries.answer(request)

    def _answer_simulation(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        """Simulate by ABCI query, as clients without gRPC ask it."""
        height = self._store.height
        try:
            asked = tx_service_pb2.SimulateRequest.FromString(request.data)
            gas, result = self.simulate(asked.tx_bytes or encode_tx(asked.tx))
        except ChainError as error:
            return abci.ResponseQuery(
                code=error.code, codespace=error.codespace, log=str(error), height=height
            )
        except DecodeError:
            return abci.ResponseQuery(code=18, codespace="sdk", log="bad request", height=height)
        response = tx_service_pb2.SimulateResponse(gas_info=gas, result=result)
        return abci.ResponseQuery(value=response.SerializeToString(), height=height)

    def run_query(self, path: str, data: bytes, height: int = 0) -> tuple[bytes, int]:
        """A gRPC method's response bytes and their height; raises ChainError."""
        return self.queries.run(path, data, height)

    # Snapshots.

    def list_snapshots(self, request: abci.RequestListSnapshots) -> abci.ResponseListSnapshots:
        """Snapshots this node can serve."""
        del request
        return abci.ResponseListSnapshots(
            snapshots=[
                abci.Snapshot(
                    height=item.height,
                    format=item.format,
                    chunks=item.chunks,
                    hash=item.hash,
                    metadata=item.metadata,
                )
                for item in self._store.list_snapshots()
            ]
        )

    def offer_snapshot(self, request: abci.RequestOfferSnapshot) -> abci.ResponseOfferSnapshot:
        """Whether to restore from a snapshot."""
        offered = request.snapshot
        verdict = self._store.offer_snapshot(
            Snapshot(
                offered.height, offered.format, offered.chunks, offered.hash, offered.metadata
            ),
            request.app_hash,
        )
        return abci.ResponseOfferSnapshot(result=verdict.name)

    def load_snapshot_chunk(
        self, request: abci.RequestLoadSnapshotChunk
    ) -> abci.ResponseLoadSnapshotChunk:
        """One chunk of a served snapshot; empty when this node holds it no more."""
        try:
            chunk = self._store.load_snapshot_chunk(request.height, request.format, request.chunk)
        except ChainError:
            chunk = b""
        return abci.ResponseLoadSnapshotChunk(chunk=chunk)

    def apply_snapshot_chunk(
        self, request: abci.RequestApplySnapshotChunk
    ) -> abci.ResponseApplySnapshotChunk:
        """Restore one chunk; the last one makes its height the committed one."""
        result = self._store.apply_snapshot_chunk(request.index, request.chunk, request.sender)
        with self._check_lock:
            self._check_ctx = self._build_check_context()
        return abci.ResponseApplySnapshotChunk(
            result=result.verdict.name,
            refetch_chunks=result.refetch_chunks,
            reject_senders=result.reject_senders,
        )


def _get_key(update: Any) -> bytes:
    key: bytes = update.pub_key.ed25519
    return key


def _compute_block_size(item: bytes) -> int:
    """What an item takes of max_tx_bytes: its bytes, its length prefix and its tag."""
    size = len(item)
    return 1 + max(1, -(-size.bit_length() // 7)) + size
