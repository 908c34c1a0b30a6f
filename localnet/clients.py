"""A chain as its users see it through any of its nodes: queries and transactions that outlive one.

A node may be killed at any moment. A query goes to the next node; a transaction's same bytes are
handed out again until a block holds them, so that nothing is ever done twice.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeVar

import httpx2
from google.protobuf.message import Message

from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query
from chain.client.api import MarginClient, TxOutcome
from chain.client.comet_json import parse_time_ns
from chain.client.errors import NodeUnavailable, NotFound, QueryRefused, TxRefused, WaitTimeout
from chain.client.transaction import Fee, SignerState, compute_tx_hash, sign_transaction
from chain.client.wallet import Wallet
from chain.units import NANOSECONDS
from localnet.topology import Topology

M = TypeVar("M", bound=Message)
T = TypeVar("T")

GAS_LIMIT: Final = 5_000_000
GAS_PRICE: Final = "0.001umargin"
FEE_UMARGIN: Final = 5_000
DELIVERY_TIMEOUT_S: Final = 120.0
QUERY_TIMEOUT_S: Final = 60.0
_RPC_TIMEOUT_S: Final = 5.0
_CALL_TIMEOUT_S: Final = 4.0
_PAUSE_S: Final = 0.25
_REBROADCAST_S: Final = 5.0
_LOOK_S: Final = 6.0
_WRONG_SEQUENCE: Final = ("sdk", 32)
_EXPECTED_SEQUENCE: Final = re.compile(r"expected (\d+), got \d+")


class Chain:
    """One chain through all its nodes; made by `open_chains`."""

    def __init__(self, chain_id: str, nodes: Sequence[MarginClient], rpcs: Sequence[str]) -> None:
        self.chain_id = chain_id
        self._nodes = list(nodes)
        self._rpcs = list(rpcs)
        self._http = httpx2.AsyncClient(timeout=_RPC_TIMEOUT_S, trust_env=False)
        self._locks: dict[str, asyncio.Lock] = {}
        self._signers: dict[str, SignerState] = {}

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def _ask_any(
        self, ask: Callable[[int], Awaitable[T]], timeout_s: float = QUERY_TIMEOUT_S
    ) -> T:
        """The first node's answer; the next node's when one does not answer, until the limit."""
        deadline = time.monotonic() + timeout_s
        while True:
            for _ in self._nodes:
                try:
                    return await ask(0)
                except (NodeUnavailable, httpx2.HTTPError) as error:
                    last = error
                    self._turn()
            if time.monotonic() > deadline:
                raise NodeUnavailable(
                    f"no node of {self.chain_id} answered for {timeout_s:g} s: {last}"
                )
            await asyncio.sleep(_PAUSE_S)

    async def query(
        self, path: str, request: Message, response: type[M], *, height: int | None = None
    ) -> M:
        """The typed response of a query method from whichever node answers."""
        return await self._ask_any(
            lambda i: self._nodes[i].query(path, request, response, height=height)
        )

    async def balance(self, address: str, denom: str) -> int:
        """Atomic units of a denomination that an address holds."""
        return await self._ask_any(lambda i: self._nodes[i].balance(address, denom))

    async def supply(self) -> dict[str, int]:
        """The total supply of every denomination of the chain."""
        answer = await self.query(
            "/cosmos.bank.v1beta1.Query/TotalSupply",
            bank_query.QueryTotalSupplyRequest(),
            bank_query.QueryTotalSupplyResponse,
        )
        return {coin.denom: int(coin.amount) for coin in answer.supply}

    async def ask_rpc(self, method: str, **params: object) -> dict[str, Any]:
        """The result of a CometBFT RPC call from whichever node answers; raises RuntimeError."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}

        async def ask(index: int) -> dict[str, Any]:
            answer: dict[str, Any] = (await self._http.post(self._rpcs[index], json=request)).json()
            return answer

        answer = await self._ask_any(ask)
        if "error" in answer:
            raise RuntimeError(f"{self.chain_id} {method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def height(self) -> int:
        """The height of the node that answers."""
        return int((await self.ask_rpc("status"))["sync_info"]["latest_block_height"])

    async def time_s(self) -> int:
        """The block time of the node that answers, whole Unix seconds."""
        status = await self.ask_rpc("status")
        return parse_time_ns(status["sync_info"]["latest_block_time"]) // NANOSECONDS

    async def block_events(self, height: int) -> list[tuple[str, dict[str, str]]]:
        """All events of a block, transactions' first, those of the block itself after."""
        results = await self.ask_rpc("block_results", height=str(height))
        raw = [
            event
            for outcome in results["txs_results"] or ()
            if outcome["code"] == 0
            for event in outcome["events"] or ()
        ]
        raw += results["finalize_block_events"] or []
        return [
            (event["type"], {item["key"]: item["value"] for item in event["attributes"] or ()})
            for event in raw
        ]

    async def deliver(
        self,
        wallet: Wallet,
        messages: Sequence[Message],
        *,
        gas_limit: int = GAS_LIMIT,
        timeout_s: float = DELIVERY_TIMEOUT_S,
    ) -> TxOutcome:
        """Sign the messages as one transaction and see a block hold it.

        Raises TxRefused with the chain's reason, WaitTimeout when no block held it.
        """
        deadline = time.monotonic() + timeout_s
        async with self._locks.setdefault(wallet.address, asyncio.Lock()):
            while True:
                signer = await self._get_signer(wallet.address)
                tx = sign_transaction(wallet, messages, signer, Fee(gas_limit, FEE_UMARGIN))
                try:
                    outcome = await self._see_committed(tx, deadline)
                except TxRefused as error:
                    is_late = time.monotonic() > deadline
                    if (error.fields["tx_codespace"], error.fields["tx_code"]) != _WRONG_SEQUENCE:
                        if error.fields["height"]:  # In a block: the sequence is used up.
                            self._advance(wallet.address, signer)
                        raise
                    if is_late:
                        raise
                    found = await self._settle_sequence(wallet.address, signer, tx, str(error))
                    if found is not None:
                        self._advance(wallet.address, signer)
                        return found
                    continue
                self._advance(wallet.address, signer)
                return outcome

    async def _get_signer(self, address: str) -> SignerState:
        known = self._signers.get(address)
        if known is None:
            account = await self._ask_any(lambda i: self._nodes[i].account(address))
            known = SignerState(self.chain_id, account.account_number, account.sequence)
            self._signers[address] = known
        return known

    def _advance(self, address: str, used: SignerState) -> None:
        self._signers[address] = SignerState(used.chain_id, used.account_number, used.sequence + 1)

    async def _settle_sequence(
        self, address: str, used: SignerState, tx: bytes, text: str
    ) -> TxOutcome | None:
        """What a refused sequence means: the transaction is in after all, or another one is due.

        A node that expects a lower one lags behind: the next node is asked. One that expects a
        higher one has seen the sequence used, by these very bytes unless nobody finds them.
        """
        match = _EXPECTED_SEQUENCE.search(text)
        if match is not None and int(match[1]) < used.sequence:
            self._turn()
            await asyncio.sleep(_PAUSE_S)
            return None
        until = time.monotonic() + _LOOK_S
        while time.monotonic() < until:
            found = await self._find(tx)
            if found is not None:
                return found
            self._turn()
            await asyncio.sleep(_PAUSE_S)
        # What was expected then is old by now, if another program spends the key too: ask again.
        self._signers.pop(address, None)
        return None

    def _turn(self) -> None:
        """Ask the next node first from now on."""
        self._nodes.append(self._nodes.pop(0))
        self._rpcs.append(self._rpcs.pop(0))

    async def _see_committed(self, tx: bytes, deadline: float) -> TxOutcome:
        """Hand the bytes out until a block holds them; raises TxRefused, WaitTimeout."""
        while True:
            try:
                await self._nodes[0].broadcast(tx)
            except NodeUnavailable:
                self._turn()
            except TxRefused as error:
                found = await self._find(tx)
                if found is not None:
                    return found
                if "already" not in str(error):  # Already in the mempool: go on waiting.
                    raise
            again = time.monotonic() + _REBROADCAST_S
            while time.monotonic() < again:
                await asyncio.sleep(_PAUSE_S)
                found = await self._find(tx)
                if found is not None:
                    return found
            if time.monotonic() > deadline:
                raise WaitTimeout(f"no block of {self.chain_id} held {compute_tx_hash(tx)}")

    async def _find(self, tx: bytes) -> TxOutcome | None:
        """The transaction's outcome if the first node that answers has it; raises TxRefused."""
        try:
            return await self._nodes[0].get_tx(compute_tx_hash(tx))
        except NotFound:
            return None
        except NodeUnavailable:
            self._turn()
            return None


async def wait_for(condition: Callable[[], Awaitable[T | None]], timeout_s: float, what: str) -> T:
    """The first result that is neither None nor False; raises TimeoutError naming what was."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found = await condition()
        except (NotFound, QueryRefused):
            found = None
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come about in {timeout_s:g} s")
        await asyncio.sleep(_PAUSE_S)


@asynccontextmanager
async def open_chains(topology: Topology) -> AsyncIterator[Mapping[str, Chain]]:
    """All chains of a network by id, closed at the end of the block."""
    async with AsyncExitStack() as stack:
        chains = {}
        for spec in topology.chains:
            clients = [
                await stack.enter_async_context(
                    MarginClient.connect(
                        f"grpc+http://{node.grpc_address}",
                        chain_id=spec.chain_id,
                        timeout_s=_CALL_TIMEOUT_S,
                    )
                )
                for node in spec.nodes
            ]
            chain = Chain(spec.chain_id, clients, [node.rpc_url for node in spec.nodes])
            stack.push_async_callback(chain.aclose)
            chains[spec.chain_id] = chain
        yield chains
