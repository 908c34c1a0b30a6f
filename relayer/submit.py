"""Submission: one writer for each key, so that sequences never race; simulate, sign, send, wait.

A wrong sequence is read again from the chain and the transaction is signed anew; a message that
spoils a batch is found by halving the batch, so that one bad packet never holds up the others.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog
from google.protobuf.message import Message

from chain._pb.cosmos.auth.v1beta1 import auth_pb2
from chain._pb.cosmos.auth.v1beta1 import query_pb2 as auth_query
from chain._pb.cosmos.tx.v1beta1 import service_pb2
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.client.comet import CometClient
from chain.client.errors import NodeUnavailable, NotFound, QueryRefused
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

WRONG_SEQUENCE_CODE: Final = 32
"""Code of codespace "sdk" for an account sequence mismatch."""
ATTEMPTS_MAX: Final = 5
CONFIRM_TIMEOUT_S: Final = 60
_SEQUENCE_TEXT: Final = re.compile(r"account sequence mismatch, expected (\d+), got (\d+)")
_BUDGET_WINDOW_S: Final = 3_600

log = structlog.get_logger("relayer.submit")


class SubmissionFailed(ChainError):
    """The chain refused a transaction or never included it; fields: tx_codespace, tx_code, log."""

    codespace = "relayer"
    code = 2
    summary = "submission failed"


class BudgetSpent(ChainError):
    """The fees of the last hour reached the configured budget."""

    codespace = "relayer"
    code = 3
    summary = "fee budget spent"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A transaction in a block and what its execution emitted."""

    tx_hash: str
    height: int
    events: tuple[abci.Event, ...]
    messages: tuple[Message, ...]


@dataclass(slots=True)
class _Account:
    number: int
    sequence: int


@dataclass(slots=True)
class _Budget:
    """Fees spent in a sliding hour."""

    limit: int
    spent: deque[tuple[float, int]] = field(default_factory=deque)

    def charge(self, fee: int, now_s: float) -> None:
        """Record a fee; raises BudgetSpent when it would pass the limit."""
        while self.spent and self.spent[0][0] < now_s - _BUDGET_WINDOW_S:
            self.spent.popleft()
        total = sum(amount for _, amount in self.spent) + fee
        if self.limit and total > self.limit:
            raise BudgetSpent(
                f"{total} would be spent within an hour, fee_budget_per_hour is {self.limit}; "
                f"raise it or wait"
            )
        self.spent.append((now_s, fee))


class Submitter:
    """The single writer of one key on one chain."""

    def __init__(self, endpoint: Endpoint, wallet: Wallet) -> None:
        self.endpoint = endpoint
        self.address = str(wallet.address)
        self._wallet = wallet
        self._lock = asyncio.Lock()
        self._account: _Account | None = None
        self._budget = _Budget(endpoint.section.fee_budget_per_hour)

    async def submit(self, messages: Sequence[Message]) -> list[Confirmed]:
        """Send the messages in one transaction and wait for its block.

        A batch that fails is halved, a leading client update repeated in each half, until the
        messages that fail stand alone; these are logged and left out. Raises SubmissionFailed when
        nothing of the batch could be submitted, NodeUnavailable when no node answers.
        """
        try:
            return [await self._submit_whole(messages)]
        except SubmissionFailed as failure:
            head, rest = split_update(messages)
            if len(rest) < 2:
                raise
            log.info("batch_halved", chain=self.endpoint.chain_id, size=len(rest), why=str(failure))
            middle = len(rest) // 2
            confirmed: list[Confirmed] = []
            for half in (rest[:middle], rest[middle:]):
                try:
                    confirmed += await self.submit([*head, *half])
                except SubmissionFailed as error:
                    log.warning("message_left_out", chain=self.endpoint.chain_id, why=str(error))
            if not confirmed:
                raise
            return confirmed

    async def _submit_whole(self, messages: Sequence[Message]) -> Confirmed:
        started_s = time.monotonic()
        telemetry, chain_id = self.endpoint.telemetry, self.endpoint.chain_id
        async with self._lock:
            tx_hash = await self._broadcast(messages)
        telemetry.tx_latency_submitted.labels(chain_id).observe(
            (time.monotonic() - started_s) * 1000
        )
        confirmed = await self._confirm(tx_hash, messages)
        telemetry.tx_latency_confirmed.labels(chain_id).observe(
            (time.monotonic() - started_s) * 1000
        )
        return confirmed

    async def _broadcast(self, messages: Sequence[Message]) -> str:
        """Simulate, sign and hand to the mempool; the sequence advances only when it is taken."""
        endpoint = self.endpoint
        for _ in range(ATTEMPTS_MAX):
            account = self._account = self._account or await self._query_account()
            try:
                gas_limit = await self._estimate_gas(messages, account)
            except _WrongSequence:
                self._account = None
                continue
            fee = Fee(
                gas_limit,
                compute_fee_amount(gas_limit, endpoint.section.gas_price_micro),
                endpoint.section.fee_denom,
            )
            self._budget.charge(fee.amount, time.monotonic())
            state = SignerState(endpoint.chain_id, account.number, account.sequence)
            tx = sign_transaction(self._wallet, messages, state, fee)
            answer = await endpoint.ask(
                "broadcast_tx_sync", partial(CometClient.broadcast_tx_sync, tx=tx)
            )
            if answer.code == 0:
                account.sequence += 1
                endpoint.telemetry.fees_spent.labels(endpoint.chain_id, fee.denom).inc(fee.amount)
                return compute_tx_hash(tx)
            endpoint.telemetry.broadcast_errors.labels(
                endpoint.chain_id, answer.codespace, str(answer.code)
            ).inc()
            if (answer.codespace, answer.code) != ("sdk", WRONG_SEQUENCE_CODE):
                raise SubmissionFailed(
                    f"{endpoint.chain_id} refused at broadcast: {answer.log}",
                    tx_codespace=answer.codespace,
                    tx_code=answer.code,
                    log=answer.log,
                )
            # Somebody else uses this key, or a transaction of ours was dropped.
            self._account = None
            await asyncio.sleep(endpoint.section.poll_interval_ms / 1000)
        raise SubmissionFailed(
            f"{endpoint.chain_id}: the account sequence of {self.address} kept changing; give the "
            f"relayer a key of its own"
        )

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
                raise _WrongSequence from refusal
            endpoint.telemetry.simulate_errors.labels(endpoint.chain_id).inc()
            raise SubmissionFailed(
                f"{endpoint.chain_id} refused in simulation: {text}", log=text
            ) from refusal
        limit = answer.gas_info.gas_used * section.gas_multiplier_percent // 100
        if limit > section.max_gas:
            raise SubmissionFailed(
                f"{len(messages)} messages need gas {limit}, max_gas is {section.max_gas}"
            )
        return limit

    async def _query_account(self) -> _Account:
        answer = await self.endpoint.query(
            "/cosmos.auth.v1beta1.Query/Account",
            auth_query.QueryAccountRequest(address=self.address),
            auth_query.QueryAccountResponse,
        )
        account = auth_pb2.BaseAccount.FromString(answer.account.value)
        return _Account(account.account_number, account.sequence)

    async def _confirm(self, tx_hash: str, messages: Sequence[Message]) -> Confirmed:
        """Wait until the transaction is in a block; raises SubmissionFailed if it failed there."""
        endpoint = self.endpoint
        deadline_s = time.monotonic() + CONFIRM_TIMEOUT_S
        while time.monotonic() < deadline_s:
            try:
                found = await endpoint.ask("tx", lambda client: client.tx(tx_hash))
            except (NotFound, NodeUnavailable):
                await asyncio.sleep(min(0.25, endpoint.section.poll_interval_ms / 1000))
                continue
            if found.result.code:
                raise SubmissionFailed(
                    f"{endpoint.chain_id} at height {found.height}: {found.result.log}",
                    tx_codespace=found.result.codespace,
                    tx_code=found.result.code,
                    log=found.result.log,
                )
            log.debug("confirmed", chain=endpoint.chain_id, tx=tx_hash, height=found.height)
            return Confirmed(tx_hash, found.height, tuple(found.result.events), tuple(messages))
        self._account = None
        raise SubmissionFailed(
            f"{endpoint.chain_id}: transaction {tx_hash} is in no block after {CONFIRM_TIMEOUT_S} s"
        )


class _WrongSequence(Exception):
    """The simulated sequence is not the account's."""


def split_update(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """The leading client updates, which every part of a batch needs, and the rest."""
    count = 0
    while count < len(messages) and isinstance(messages[count], client_tx.MsgUpdateClient):
        count += 1
    return list(messages[:count]), list(messages[count:])
