"""The run of one transaction: ante, then its messages in a branch; and what CometBFT is told of it.

A refusal writes nothing but what the ante wrote (fee and sequence), and that only when the ante
itself passed. An exception nobody expected is the same refusal on every node: fixed code and text.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from google.protobuf import any_pb2

from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2 as base_abci_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.errors import INTERNAL_CODE, INTERNAL_CODESPACE, INTERNAL_TEXT, ChainError
from chain.runtime.ante import Ante, PreparedTx
from chain.runtime.context import Context, Event, Mode
from chain.runtime.errors import InternalFailure
from chain.runtime.gas import GasMeter
from chain.runtime.module import TransactionCheck
from chain.runtime.router import Router, pack

LOG_SIZE_MAX: Final = 2_048
"""Most characters of a refusal's text that leave the node."""
INT64_MAX: Final = (1 << 63) - 1
_MESSAGE_INDEX: Final = "msg_index"
_UNINDEXED: Final[Mapping[str, frozenset[str]]] = {
    "coin_received": frozenset({"receiver", "amount"}),
    "coin_spent": frozenset({"spender", "amount"}),
    "transfer": frozenset({"amount"}),
    "tx": frozenset({"fee", "fee_payer", "signature"}),
    "update_client": frozenset({"header"}),
}
"""Attributes by event type that clients read and nobody searches by: those indexed beside them find
the same transactions, and each indexed one costs CometBFT a key. Indexing is no part of consensus.
"""
_NONE: Final[frozenset[str]] = frozenset()

_log = structlog.get_logger("chain.runtime")


@dataclass(slots=True)
class ErrorCounts:
    """Unexpected exceptions since the node started, by where they came from; for metrics."""

    by_place: dict[str, int] = field(default_factory=dict)

    def record(self, place: str, error: Exception) -> None:
        """Count and log an exception; MemoryError and RecursionError are raised again to halt."""
        if isinstance(error, MemoryError | RecursionError):
            raise error
        self.by_place[place] = self.by_place.get(place, 0) + 1
        _log.error("unexpected exception", place=place, exc_info=error)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction came to: code 0 is success; events are those that survive."""

    code: int
    codespace: str
    log: str
    responses: tuple[any_pb2.Any, ...]
    gas_wanted: int
    gas_used: int
    events: tuple[Event, ...]
    error: ChainError | None = None

    def build_data(self) -> bytes:
        """The encoded TxMsgData, empty on failure."""
        if self.code:
            return b""
        data = base_abci_pb2.TxMsgData(msg_responses=self.responses)
        return bytes(data.SerializeToString(deterministic=True))


class Executor:
    """Runs transactions of one chain in any mode."""

    def __init__(
        self,
        router: Router,
        ante: Ante,
        errors: ErrorCounts,
        checks: Sequence[TransactionCheck] = (),
    ) -> None:
        self._checks = tuple(checks)
        self._router = router
        self._ante = ante
        self._errors = errors

    def run(self, ctx: Context, prepared: PreparedTx, *, messages: bool) -> Outcome:
        """Run a transaction in branches of ctx; messages=False is CheckTx: the ante alone."""
        gas_wanted = prepared.gas_limit
        gas = GasMeter(None if ctx.mode is Mode.SIMULATE else gas_wanted)
        tx_ctx = Context(
            chain_id=ctx.chain_id,
            height=ctx.height,
            time_ns=ctx.time_ns,
            store=ctx.store,
            mode=ctx.mode,
            gas=gas,
            proposer_address=ctx.proposer_address,
            router=self._router,
        )
        responses: list[any_pb2.Any] = []
        place = "ante"
        try:
            with tx_ctx.branch() as ante_ctx:
                self._ante.run(ante_ctx, prepared)
                for check in () if messages else self._checks:
                    check(ante_ctx, [message for _, message, _, _ in prepared.steps])
            if messages:
                place = "message"
                with tx_ctx.branch() as messages_ctx:
                    responses = self._run_messages(messages_ctx, prepared)
        except ChainError as error:
            return _build_refusal(error, gas_wanted, gas.used, tx_ctx.events)
        except Exception as error:  # noqa: BLE001 - the same refusal on every node
            self._errors.record(place, error)
            return Outcome(
                INTERNAL_CODE,
                INTERNAL_CODESPACE,
                INTERNAL_TEXT,
                (),
                gas_wanted,
                gas.used,
                tuple(tx_ctx.events),
                InternalFailure(),
            )
        return Outcome(0, "", "", tuple(responses), gas_wanted, gas.used, tuple(tx_ctx.events))

    def _run_messages(self, ctx: Context, prepared: PreparedTx) -> list[any_pb2.Any]:
        """All messages in order, in the one branch given, so that all hold or none."""
        responses = []
        for index, (route, message, type_url, sender) in enumerate(prepared.steps):
            first_event = len(ctx.events)
            ctx.emit(
                "message",
                {
                    "action": type_url,
                    "sender": sender,
                    "module": self._router.get_module_name(type_url),
                },
            )
            try:
                response = route.handler(ctx, message)
            except ChainError as error:
                error.detail = (
                    f"failed to execute message; message index: {index}: {error.detail}"
                    if error.detail
                    else f"failed to execute message; message index: {index}"
                )
                raise
            _mark_message(ctx.events, first_event, index)
            responses.append(pack(response))
        return responses


def _mark_message(events: list[Event], first: int, index: int) -> None:
    """Say of each event of a message which message it came from, as the SDK does."""
    mark = ((_MESSAGE_INDEX, str(index)),)
    for position in range(first, len(events)):
        event = events[position]
        events[position] = Event(event.type, event.attributes + mark)


def _build_refusal(
    error: ChainError, gas_wanted: int, gas_used: int, events: Sequence[Event]
) -> Outcome:
    return Outcome(
        error.code,
        error.codespace,
        str(error)[:LOG_SIZE_MAX],
        (),
        gas_wanted,
        gas_used,
        tuple(events),
        error,
    )


def add_events(target: Any, events: Iterable[Event]) -> None:
    """Append events to a repeated tendermint.abci.Event; what users search by is indexed.

    Adding in place spares protobuf a copy of each part: events are a large part of a block's work.
    """
    for event in events:
        attributes = target.add(type=event.type).attributes
        unindexed = _UNINDEXED.get(event.type, _NONE)
        for key, value in event.attributes:
            is_indexed = key != _MESSAGE_INDEX and key not in unindexed
            attributes.add(key=key, value=value, index=is_indexed)


def build_tx_result(outcome: Outcome) -> abci.ExecTxResult:
    """The result of a transaction in FinalizeBlock."""
    result = abci.ExecTxResult(
        code=outcome.code,
        data=outcome.build_data(),
        log=outcome.log,
        gas_wanted=outcome.gas_wanted,
        gas_used=min(outcome.gas_used, INT64_MAX),
        codespace=outcome.codespace,
    )
    add_events(result.events, outcome.events)
    return result


def build_refused_tx_result(error: ChainError) -> abci.ExecTxResult:
    """The result of bytes that are no transaction."""
    return abci.ExecTxResult(
        code=error.code, codespace=error.codespace, log=str(error)[:LOG_SIZE_MAX]
    )
