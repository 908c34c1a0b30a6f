"""Misbehaviour: a client that accepted a header which its chain does not have, and its proof.

Detection is pure: what the client keeps of a height against the header the chain really has. A
contradiction that both validator sets signed is a fork, and two such headers freeze the client
(ICS-07). Every node of the source is asked, since one of them may be on the fork.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

import structlog
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.cosmos.tx.v1beta1 import tx_pb2
from chain._pb.ibc.core.client.v1 import query_pb2 as client_query
from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain._pb.tendermint.types import types_pb2
from chain.client.errors import NotFound, RpcError
from chain.client.transaction import pack_any
from chain.errors import ChainError
from chain.ibc.height import Height
from relayer.clients import fetch_client, fetch_consensus_state
from relayer.endpoint import Endpoint
from relayer.headers import fetch_header, to_consensus_state
from relayer.side import Side
from relayer.submit import SubmissionFailed

PAGE_ROWS: Final = 100
PAUSE_S: Final = 2
PENDING_MAX: Final = 1_000

log = structlog.get_logger("relayer.misbehaviour")


class Finding(Enum):
    """What comparing an accepted height with the chain's own header says."""

    AGREES = "the client keeps what the chain has"
    CONTRADICTS = "the chain has another header at this height"
    UNKNOWN = "the chain has not reached this height"


def compare(accepted: tendermint_pb2.ConsensusState, actual: types_pb2.Header | None) -> Finding:
    """Judge what a client keeps of a height by the header its chain has there (None: not yet)."""
    if actual is None:
        return Finding.UNKNOWN
    if accepted == to_consensus_state(actual):
        return Finding.AGREES
    return Finding.CONTRADICTS


def build_evidence(
    client_id: str,
    accepted: tendermint_pb2.Header | None,
    actual: tendermint_pb2.Header,
    signer: str,
) -> client_tx.MsgUpdateClient:
    """The message that freezes a client: both headers of the height, as misbehaviour.

    When the accepted header cannot be had, the actual one alone: a verified header that contradicts
    what a client keeps freezes it as well.
    """
    evidence: Message = actual
    if accepted is not None:
        evidence = tendermint_pb2.Misbehaviour(
            client_id=client_id, header_1=accepted, header_2=actual
        )
    return client_tx.MsgUpdateClient(
        client_id=client_id, client_message=pack_any(evidence), signer=signer
    )


def find_accepted_header(tx: bytes, client_id: str, height: int) -> tendermint_pb2.Header | None:
    """The header of a height that a transaction gave to a client, or None."""
    try:
        body = tx_pb2.TxBody.FromString(tx_pb2.TxRaw.FromString(tx).body_bytes)
        for packed in body.messages:
            if packed.type_url != f"/{client_tx.MsgUpdateClient.DESCRIPTOR.full_name}":
                continue
            message = client_tx.MsgUpdateClient.FromString(packed.value)
            header = _read_header(message.client_message)
            if header is None or message.client_id != client_id:
                continue
            if header.signed_header.header.height == height:
                return header
    except DecodeError:
        return None
    return None


def _read_header(packed: Any) -> tendermint_pb2.Header | None:
    if packed.type_url != f"/{tendermint_pb2.Header.DESCRIPTOR.full_name}":
        return None
    return tendermint_pb2.Header.FromString(packed.value)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A consensus height that a client got; `host_height` is the block that held it, 0: unknown."""

    height: Height
    host_height: int = 0


class Watch:
    """Watches one client: every height it gets is compared with the chain it follows."""

    def __init__(self, host_side: Side, reference: Side) -> None:
        self.host = host_side
        self.reference = reference
        self._pending: deque[Accepted] = deque(maxlen=PENDING_MAX)
        self._wake = asyncio.Event()
        self._is_frozen = False

    def note_update(self, accepted: Accepted) -> None:
        """An event says that the client got a height."""
        self._pending.append(accepted)
        self._wake.set()

    async def run(self) -> None:
        """Check the client's newest heights, then every new one, until it is frozen."""
        is_caught_up = False
        while not self._is_frozen:
            try:
                if not is_caught_up:
                    await self._recall()
                    is_caught_up = True
                await self.check_pending()
            except (ChainError, TimeoutError) as error:
                log.info("watch_waits", client=self.host.client, why=str(error))
                await asyncio.sleep(PAUSE_S)
                continue
            self._wake.clear()
            try:
                # Heights above the chain's own wait until it reaches them.
                async with asyncio.timeout(PAUSE_S if self._pending else None):
                    await self._wake.wait()
            except TimeoutError:
                continue
        log.error("client_frozen", chain=self.host.chain_id, client=self.host.client)
        await asyncio.Event().wait()

    async def _recall(self) -> None:
        """Take up the client's newest height; the scanner brings those after its cursor."""
        view = await fetch_client(self.host.endpoint, self.host.client)
        self._is_frozen = view.is_frozen
        self._pending.append(Accepted(Height.from_proto(view.latest_height)))

    async def check_pending(self) -> None:
        """Compare every height that waits; a contradiction is proven to the host chain."""
        for _ in range(len(self._pending)):
            accepted = self._pending.popleft()
            try:
                finding, witness = await self._judge(accepted)
            except (ChainError, TimeoutError):
                self._pending.append(accepted)
                raise
            if finding is Finding.UNKNOWN:
                self._pending.append(accepted)
            elif finding is Finding.CONTRADICTS and witness is not None:
                await self._prove(accepted, witness)
            if self._is_frozen:
                return

    async def _judge(self, accepted: Accepted) -> tuple[Finding, Endpoint | None]:
        """The finding, and the node of the source whose header contradicts."""
        kept = await fetch_consensus_state(
            self.host.endpoint, self.host.client, accepted.height.to_proto()
        )
        if kept is None:
            return Finding.AGREES, None  # Pruned, as expired states are.
        finding = Finding.UNKNOWN
        for node in self.reference.endpoint.split():
            found = compare(kept, await _fetch_actual(node, accepted.height.revision_height))
            if found is Finding.CONTRADICTS:
                return found, node
            if found is Finding.AGREES:
                finding = found
        return finding, None

    async def _prove(self, accepted: Accepted, witness: Endpoint) -> None:
        """Submit the two headers; a header without enough signatures is no proof and is logged."""
        host_side, height = self.host, accepted.height.revision_height
        trusted = await self._find_agreed_height(height, witness)
        log.error(
            "misbehaviour_found",
            chain=host_side.chain_id,
            client=host_side.client,
            reference=witness.chain_id,
            height=height,
            trusted_height=trusted.revision_height,
        )
        actual = await fetch_header(witness, height, trusted.to_proto())
        header = await self._fetch_accepted_header(accepted)
        message = build_evidence(host_side.client, header, actual, host_side.submitter.address)
        try:
            await host_side.submitter.submit([message])
        except SubmissionFailed as failure:
            view = await fetch_client(host_side.endpoint, host_side.client)
            self._is_frozen = view.is_frozen
            if not view.is_frozen:
                log.critical("misbehaviour_refused", client=host_side.client, why=str(failure))
                await asyncio.sleep(PAUSE_S)
                self._pending.append(accepted)
            return
        self._is_frozen = True
        host_side.endpoint.telemetry.client_misbehaviours_submitted.labels(
            host_side.chain_id, host_side.client
        ).inc()

    async def _find_agreed_height(self, below: int, witness: Endpoint) -> Height:
        """The newest height under another one at which client and chain agree; raises NotFound."""
        lower = [h for h in await self._list_heights() if h.revision_height < below]
        for height in sorted(lower, reverse=True):
            kept = await fetch_consensus_state(
                self.host.endpoint, self.host.client, height.to_proto()
            )
            actual = await _fetch_actual(witness, height.revision_height)
            if kept is not None and compare(kept, actual) is Finding.AGREES:
                return height
        raise NotFound(f"{self.host.client} and {witness.chain_id} agree on no height")

    async def _list_heights(self) -> list[Height]:
        """All heights a client keeps."""
        heights: list[Height] = []
        key = b""
        while True:
            answer = await self.host.endpoint.query(
                "/ibc.core.client.v1.Query/ConsensusStateHeights",
                client_query.QueryConsensusStateHeightsRequest(
                    client_id=self.host.client,
                    pagination=pagination_pb2.PageRequest(key=key, limit=PAGE_ROWS),
                ),
                client_query.QueryConsensusStateHeightsResponse,
            )
            heights += map(Height.from_proto, answer.consensus_state_heights)
            key = answer.pagination.next_key
            if not key:
                return heights

    async def _fetch_accepted_header(self, accepted: Accepted) -> tendermint_pb2.Header | None:
        """The header in the transaction that updated the client; None when it is not found."""
        if not accepted.host_height:
            return None
        try:
            answer = await self.host.endpoint.ask(
                "block", lambda client: client.block(accepted.host_height)
            )
        except (NotFound, RpcError):
            return None
        found = (
            find_accepted_header(tx, self.host.client, accepted.height.revision_height)
            for tx in answer.block.data.txs
        )
        return next((header for header in found if header is not None), None)


async def _fetch_actual(node: Endpoint, height: int) -> types_pb2.Header | None:
    """The header a node has at a height; None when it has none (yet, or any more)."""
    try:
        return await node.ask("header", lambda client: client.header(height))
    except (NotFound, RpcError):
        return None
    except ChainError:
        if len(node.section.rpc_addrs) > 1:
            raise
        log.info("witness_silent", node=node.client.url)
        return None
