"""Submission: one writer for each key, so that sequences never race; simulate, sign, send, wait.

A wrong sequence is read again from the chain and the transaction is signed anew; a message that
spoils a batch is found by halving the batch, so that one bad packet never holds up the others.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog
from google.protobuf.message import DecodeError, Message

from chain._pb.cosmos.auth.v1beta1 import auth_pb2
from chain._pb.cosmos.auth.v1beta1 import query_pb2 as auth_query
from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2
from chain._pb.cosmos.tx.v1beta1 import service_pb2
from chain._pb.ibc.core.channel.v1 import tx_pb2 as channel_tx
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.client.comet import BroadcastResult, CometClient, CommittedTx
from chain.client.errors import NodeUnavailable, NotFound, QueryRefused, RpcError
from chain.client.transaction import (
    Fee,
    SignerState,
    compute_fee_amount,
    compute_tx_hash,
    sign_transaction,
)
from chain.client.wallet import Wallet
from chain.errors import ChainError
from relayer.endpoint import Endpoint
from relayer.turns import PriorityLock

WRONG_SEQUENCE: Final = ("sdk", 32)
INSUFFICIENT_FUNDS: Final = ("sdk", 5)
OUT_OF_GAS: Final = ("sdk", 11)
ATTEMPTS_MAX: Final = 6
CONFIRM_TIMEOUT_S: Final = 60
REBROADCAST_S: Final = 4
"""A transaction in no block after so long is handed in again: a mempool may have dropped it."""
FUNDS_PAUSE_S: Final = 5
BUDGET_PAUSE_S: Final = 30
GAS_BOOST_PERCENT_MAX: Final = 200
"""Gas is raised by 50 % of the estimate after each transaction that ran out, up to this."""
_ALREADY_THERE_TEXT: Final = "tx already exists in cache"
_MEMPOOL_FULL_TEXT: Final = "mempool is full"
_NO_FUNDS_TEXT: Final = "insufficient funds"
_PACKET_RESPONSES: Final = (
    channel_tx.MsgRecvPacketResponse,
    channel_tx.MsgAcknowledgementResponse,
    channel_tx.MsgTimeoutResponse,
    channel_tx.MsgTimeoutOnCloseResponse,
)
_SEQUENCE_TEXT: Final = re.compile(r"account sequence mismatch, expected (\d+), got (\d+)")
_BUDGET_WINDOW_S: Final = 3_600

log = structlog.get_logger("relayer.submit")


class SubmissionFailed(ChainError):
    """The chain refused a transaction or never included it; fields: tx_codespace, tx_code, log.

    `is_divisible` is set when one message may be at fault, so that half of the batch may succeed.
    """

    codespace = "relayer"
    code = 2
    summary = "submission failed"


class BudgetSpent(ChainError):
    """The fees of the last hour reached the configured budget."""

    codespace = "relayer"
    code = 3
    summary = "fee budget spent"


class FundsMissing(ChainError):
    """The relayer's key cannot pay the fee on a chain."""

    codespace = "relayer"
    code = 5
    summary = "relayer balance too low"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A transaction in a block and what its execution emitted.

    `redundant` counts its messages that did nothing, since another relayer was faster.
    """

    tx_hash: str
    height: int
    events: tuple[abci.Event, ...]
    messages: tuple[Message, ...]
    redundant: int = 0


@dataclass(frozen=True, slots=True)
class _Sent:
    """A transaction in a mempool."""

    tx: bytes
    hash: str
    sequence: int


@dataclass(slots=True)
class _Account:
    number: int
    sequence: int


@dataclass(slots=True)
class _Budget:
    """Fees spent in a sliding hour."""

    limit: int
    spent: deque[tuple[float, int]] = field(default_factory=deque)

    def validate(self, fee: int, now_s: float) -> None:
        """Raises BudgetSpent when another fee would pass the limit."""
        while self.spent and self.spent[0][0] < now_s - _BUDGET_WINDOW_S:
            self.spent.popleft()
        total = sum(amount for _, amount in self.spent) + fee
        if self.limit and total > self.limit:
            raise BudgetSpent(
                f"{total} would be spent within an hour, fee_budget_per_hour is {self.limit}; "
                f"raise it or wait"
            )

    def charge(self, fee: int, now_s: float) -> None:
        """Record a fee that was paid."""
        if self.limit:
            self.spent.append((now_s, fee))


class Submitter:
    """The single writer of one key on one chain.

    While its balance is empty or its budget is spent it is paused: every submission is refused at
    once until the pause ends, so that nothing is proven and simulated in vain.
    """

    def __init__(self, endpoint: Endpoint, wallet: Wallet) -> None:
        self.endpoint = endpoint
        self.address = str(wallet.address)
        self._wallet = wallet
        self._turns = PriorityLock()
        self._account: _Account | None = None
        self._budget = _Budget(endpoint.section.fee_budget_per_hour)
        self._paused_until_s = 0.0
        self._pause_reason: ChainError | None = None
        self._gas_boost_percent = 0

    @property
    def is_paused(self) -> bool:
        """Whether nothing can be paid at the moment."""
        return time.monotonic() < self._paused_until_s

    async def submit(
        self, messages: Sequence[Message], *, is_urgent: bool = True
    ) -> list[Confirmed]:
        """Send the messages in one transaction and wait for its block.

        A batch that fails is halved, a leading client update repeated in each half, until the
        messages that fail stand alone; these are logged and left out. What is not urgent gives way.
        Raises SubmissionFailed when nothing of the batch could be submitted, FundsMissing and
        BudgetSpent while the key cannot pay, NodeUnavailable when no node answers.
        """
        try:
            return [await self._submit_whole(messages, is_urgent=is_urgent)]
        except SubmissionFailed as failure:
            head, rest = split_update(messages)
            if len(rest) < 2 or not failure.fields.get("is_divisible"):
                raise
            log.info("batch_halved", chain=self.endpoint.chain_id, size=len(rest), why=str(failure))
            middle = len(rest) // 2
            confirmed: list[Confirmed] = []
            for half in (rest[:middle], rest[middle:]):
                try:
                    confirmed += await self.submit([*head, *half], is_urgent=is_urgent)
                except SubmissionFailed as error:
                    log.warning("message_left_out", chain=self.endpoint.chain_id, why=str(error))
            if not confirmed:
                raise
            return confirmed

    async def _submit_whole(self, messages: Sequence[Message], *, is_urgent: bool) -> Confirmed:
        started_s = time.monotonic()
        telemetry, chain_id = self.endpoint.telemetry, self.endpoint.chain_id
        async with self._turns.turn(is_urgent=is_urgent):
            self._require_funds()
            sent = await self._broadcast(messages)
        if sent is None:
            telemetry.redundant_messages.labels(chain_id).inc(len(messages))
            return Confirmed("", 0, (), tuple(messages), redundant=len(messages))
        telemetry.tx_latency_submitted.labels(chain_id).observe(
            (time.monotonic() - started_s) * 1000
        )
        confirmed = await self._confirm(sent, messages)
        if confirmed.redundant:
            telemetry.redundant_messages.labels(chain_id).inc(confirmed.redundant)
        telemetry.tx_latency_confirmed.labels(chain_id).observe(
            (time.monotonic() - started_s) * 1000
        )
        return confirmed

    def _require_funds(self) -> None:
        if self.is_paused and self._pause_reason is not None:
            raise self._pause_reason

    def _pause(self, reason: ChainError, pause_s: float) -> ChainError:
        if not self.is_paused:
            log.error("payer_paused", chain=self.endpoint.chain_id, why=str(reason))
            self.endpoint.telemetry.payer_pauses.labels(self.endpoint.chain_id).inc()
        self._paused_until_s = time.monotonic() + pause_s
        self._pause_reason = reason
        return reason

    async def _broadcast(self, messages: Sequence[Message]) -> _Sent | None:
        """Simulate, sign and hand to the mempool; None when all of it was delivered by others.

        The sequence advances only when the transaction is taken.
        """
        endpoint = self.endpoint
        for attempt in range(ATTEMPTS_MAX):
            if attempt > 1:
                await asyncio.sleep(endpoint.section.poll_interval_ms / 1000)
            account = self._account = self._account or await self._query_account()
            try:
                gas_limit = await self._estimate_gas(messages, account)
            except _WrongSequence as wrong:
                self._learn_sequence(wrong.expected)
                continue
            fee = Fee(
                gas_limit,
                compute_fee_amount(gas_limit, endpoint.section.gas_price_micro),
                endpoint.section.fee_denom,
            )
            self._require_budget(fee.amount)
            state = SignerState(endpoint.chain_id, account.number, account.sequence)
            tx = sign_transaction(self._wallet, messages, state, fee)
            answer = await self._hand_in(tx)
            if answer is None or answer.code == 0:
                account.sequence += 1
                self._budget.charge(fee.amount, time.monotonic())
                endpoint.telemetry.fees_spent.labels(endpoint.chain_id, fee.denom).inc(fee.amount)
                return _Sent(tx, compute_tx_hash(tx), state.sequence)
            if self._is_redundant(answer):
                return None
            # Somebody else uses this key, or a transaction of ours was dropped.
            self._learn_sequence(find_expected_sequence(answer.log))
        raise SubmissionFailed(
            f"{endpoint.chain_id}: the account sequence of {self.address} kept changing; give the "
            f"relayer a key of its own"
        )

    async def _hand_in(self, tx: bytes) -> BroadcastResult | None:
        """CheckTx's answer; None when the node holds these very bytes already."""
        try:
            return await self.endpoint.ask(
                "broadcast_tx_sync", partial(CometClient.broadcast_tx_sync, tx=tx)
            )
        except RpcError as error:
            if _ALREADY_THERE_TEXT in str(error):
                return None
            if _MEMPOOL_FULL_TEXT in str(error):
                raise SubmissionFailed(f"{self.endpoint.chain_id}: {error}") from error
            raise

    def _is_redundant(self, answer: BroadcastResult) -> bool:
        """Whether CheckTx refused what others delivered, False for a wrong sequence; else raises.

        Raises FundsMissing and SubmissionFailed.
        """
        endpoint = self.endpoint
        refusal = (answer.codespace, answer.code)
        if "redundant" in answer.log:
            return True
        endpoint.telemetry.broadcast_errors.labels(
            endpoint.chain_id, answer.codespace, str(answer.code)
        ).inc()
        if refusal == WRONG_SEQUENCE:
            return False
        if refusal == INSUFFICIENT_FUNDS:
            raise self._refuse_unpaid(answer.log)
        raise SubmissionFailed(
            f"{endpoint.chain_id} refused at broadcast: {answer.log}",
            tx_codespace=answer.codespace,
            tx_code=answer.code,
            log=answer.log,
        )

    def _refuse_unpaid(self, text: str) -> ChainError:
        section = self.endpoint.section
        missing = FundsMissing(
            f"{self.address} on {section.id} cannot pay the fee: {text}; send "
            f"{section.fee_denom} to it"
        )
        return self._pause(missing, FUNDS_PAUSE_S)

    def _require_budget(self, fee: int) -> None:
        try:
            self._budget.validate(fee, time.monotonic())
        except BudgetSpent as error:
            raise self._pause(error, BUDGET_PAUSE_S) from error

    def _learn_sequence(self, expected: int | None) -> None:
        """Take the sequence the chain named, or read the account again when it named none."""
        log.info("sequence_changed", chain=self.endpoint.chain_id, expected=expected)
        if expected is None or self._account is None:
            self._account = None
        else:
            self._account.sequence = expected

    async def _estimate_gas(self, messages: Sequence[Message], account: _Account) -> int:
        """The gas limit for the messages; raises SubmissionFailed when Simulate refuses them."""
        endpoint, section = self.endpoint, self.endpoint.section
        # Signed and with a fee, so that the ante's work is counted as it will be.
        state = SignerState(endpoint.chain_id, account.number, account.sequence)
        fee = Fee(
            section.max_gas,
            compute_fee_amount(section.max_gas, section.gas_price_micro),
            section.fee_denom,
        )
        tx = sign_transaction(self._wallet, messages, state, fee)
        try:
            answer = await endpoint.query(
                "/cosmos.tx.v1beta1.Service/Simulate",
                service_pb2.SimulateRequest(tx_bytes=tx),
                service_pb2.SimulateResponse,
            )
        except (QueryRefused, NotFound) as refusal:
            text = str(refusal)
            if _SEQUENCE_TEXT.search(text):
                raise _WrongSequence(find_expected_sequence(text)) from refusal
            endpoint.telemetry.simulate_errors.labels(endpoint.chain_id).inc()
            if _NO_FUNDS_TEXT in text:
                raise self._refuse_unpaid(text) from refusal
            raise SubmissionFailed(
                f"{endpoint.chain_id} refused in simulation: {text}", log=text, is_divisible=True
            ) from refusal
        percent = section.gas_multiplier_percent + self._gas_boost_percent
        limit = answer.gas_info.gas_used * percent // 100
        if answer.gas_info.gas_used > section.max_gas:
            raise SubmissionFailed(
                f"{len(messages)} messages need gas {answer.gas_info.gas_used}, max_gas is "
                f"{section.max_gas}; raise it or lower max_msg_num",
                is_divisible=True,
            )
        return min(limit, section.max_gas)

    async def _query_account(self) -> _Account:
        try:
            answer = await self.endpoint.query(
                "/cosmos.auth.v1beta1.Query/Account",
                auth_query.QueryAccountRequest(address=self.address),
                auth_query.QueryAccountResponse,
            )
        except NotFound as error:
            missing = FundsMissing(
                f"{self.address} does not exist on {self.endpoint.chain_id}; send "
                f"{self.endpoint.section.fee_denom} to it"
            )
            raise self._pause(missing, FUNDS_PAUSE_S) from error
        account = auth_pb2.BaseAccount.FromString(answer.account.value)
        return _Account(account.account_number, account.sequence)

    async def _confirm(self, sent: _Sent, messages: Sequence[Message]) -> Confirmed:
        """Wait until the transaction is in a block; raises SubmissionFailed if it failed there.

        Its same bytes are handed in again now and then: a mempool may have dropped them.
        """
        endpoint = self.endpoint
        started_s = time.monotonic()
        handed_s = started_s
        while time.monotonic() < started_s + CONFIRM_TIMEOUT_S:
            try:
                found = await endpoint.ask("tx", lambda client: client.tx(sent.hash))
            except (NotFound, NodeUnavailable):
                pass
            except RpcError:
                # The node keeps no index of transactions: the account's sequence tells as much.
                if (await self._query_account()).sequence > sent.sequence:
                    return Confirmed(sent.hash, 0, (), tuple(messages))
            else:
                return self._judge(found, messages)
            if time.monotonic() > handed_s + REBROADCAST_S:
                handed_s = time.monotonic()
                await self._hand_in_again(sent)
            await asyncio.sleep(min(0.25, endpoint.section.poll_interval_ms / 1000))
        self._account = None
        raise SubmissionFailed(
            f"{endpoint.chain_id}: transaction {sent.hash} is in no block after "
            f"{CONFIRM_TIMEOUT_S} s"
        )

    async def _hand_in_again(self, sent: _Sent) -> None:
        """Raises SubmissionFailed when another transaction took the sequence of this one."""
        endpoint = self.endpoint
        try:
            answer = await self._hand_in(sent.tx)
        except (NodeUnavailable, RpcError, SubmissionFailed) as error:
            log.info("not_handed_in_again", chain=endpoint.chain_id, why=str(error))
            return
        if answer is None or (answer.codespace, answer.code) != WRONG_SEQUENCE:
            return
        # Either it is in a block that is not indexed yet, or it never will be.
        if (await self._query_account()).sequence <= sent.sequence:
            return
        for _ in range(3):
            await asyncio.sleep(endpoint.section.poll_interval_ms / 1000)
            with suppress(NotFound, NodeUnavailable, RpcError):
                await endpoint.ask("tx", lambda client: client.tx(sent.hash))
                return
        self._account = None
        raise SubmissionFailed(
            f"{endpoint.chain_id}: another transaction used sequence {sent.sequence} of "
            f"{self.address} before {sent.hash}"
        )

    def _judge(self, found: CommittedTx, messages: Sequence[Message]) -> Confirmed:
        chain_id, result = self.endpoint.chain_id, found.result
        if result.code:
            if (result.codespace, result.code) == OUT_OF_GAS:
                self._gas_boost_percent = min(self._gas_boost_percent + 50, GAS_BOOST_PERCENT_MAX)
            raise SubmissionFailed(
                f"{chain_id} at height {found.height}: {result.log}",
                tx_codespace=result.codespace,
                tx_code=result.code,
                log=result.log,
                is_divisible=True,
            )
        self._gas_boost_percent = max(0, self._gas_boost_percent - 5)
        log.debug("confirmed", chain=chain_id, tx=found.hash, height=found.height)
        return Confirmed(
            found.hash,
            found.height,
            tuple(result.events),
            tuple(messages),
            redundant=count_redundant(result.data),
        )


class _WrongSequence(Exception):
    """The simulated sequence is not the account's; `expected` is what the chain named, or None."""

    def __init__(self, expected: int | None) -> None:
        super().__init__()
        self.expected = expected


def find_expected_sequence(text: str) -> int | None:
    """The sequence that the SDK's refusal asks for, None when it names none."""
    match = _SEQUENCE_TEXT.search(text)
    return int(match[1]) if match else None


def count_redundant(data: bytes) -> int:
    """How many packet messages of a transaction did nothing, by its result's data (ICS-04)."""
    try:
        responses = abci_pb2.TxMsgData.FromString(data).msg_responses
        return sum(
            kind.FromString(packed.value).result == channel_tx.RESPONSE_RESULT_TYPE_NOOP
            for packed in responses
            for kind in _PACKET_RESPONSES
            if packed.type_url == f"/{kind.DESCRIPTOR.full_name}"
        )
    except DecodeError:
        return 0


def split_update(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """The leading client updates, which every part of a batch needs, and the rest."""
    count = 0
    while count < len(messages) and isinstance(messages[count], client_tx.MsgUpdateClient):
        count += 1
    return list(messages[:count]), list(messages[count:])
