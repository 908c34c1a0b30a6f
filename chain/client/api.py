"""The client of a margin chain: accounts, balances, transactions and typed queries over gRPC.

    async with MarginClient.connect("grpc+http://127.0.0.1:9090") as client:
        tx = await client.lock_collateral(alice, Amount.parse("10 ETH"))
        await tx.wait()

`chain.client.sync.SyncMarginClient` offers the same without asyncio.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from chain._pb.cosmos.auth.v1beta1 import auth_pb2
from chain._pb.cosmos.auth.v1beta1 import query_pb2 as auth_query
from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query
from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2
from chain._pb.cosmos.base.node.v1beta1 import query_pb2 as node_query
from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.cosmos.base.tendermint.v1beta1 import query_pb2 as comet_query
from chain._pb.cosmos.tx.v1beta1 import service_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as accounts_query
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.liquidation.v1 import tx_pb2 as liquidation_tx
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain.client.amount import Amount
from chain.client.errors import (
    InvalidField,
    MalformedAnswer,
    NotFound,
    QueryRefused,
    TxRefused,
    WaitTimeout,
)
from chain.client.grpc_channel import TIMEOUT_S, GrpcChannel
from chain.client.registry import find_message_class, get_methods_by_path, unpack_any
from chain.client.transaction import (
    FEE_DENOM,
    GAS_PRICE_SCALE,
    Fee,
    SignerState,
    compute_fee_amount,
    compute_tx_hash,
    sign_transaction,
)
from chain.client.wallet import Wallet
from chain.units import ceil_div

M = TypeVar("M", bound=Message)

GAS_MARGIN_PPM: Final = 1_300_000
"""A gas limit is 1.3 times what Simulate used."""
WAIT_S: Final = 30.0
POLL_S: Final = 0.25
WRONG_SEQUENCE: Final = ("sdk", 32)
PAGE_ROWS: Final = 100
_EXPECTED_SEQUENCE = re.compile(r"account sequence mismatch, expected (\d+), got \d+")
_GAS_PRICE = re.compile(r"([0-9]+)(?:\.([0-9]{1,18}))?([a-z][a-zA-Z0-9/:._-]*)")


@dataclass(frozen=True, slots=True)
class TxOutcome:
    """A committed transaction that succeeded, and the responses of its messages in order."""

    txhash: str
    height: int
    gas_wanted: int
    gas_used: int
    responses: tuple[Message, ...]
    events: tuple[tuple[str, Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a transaction would do now: gas used and the responses of its messages."""

    gas_used: int
    responses: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class PendingTx:
    """A transaction in the mempool."""

    txhash: str
    client: "MarginClient"

    async def wait(self, timeout_s: float = WAIT_S) -> TxOutcome:
        """The outcome once a block holds the transaction; raises TxRefused or WaitTimeout."""
        return await self.client.wait(self.txhash, timeout_s=timeout_s)


class MarginClient:
    """A connection to one node; use connect() as an asynchronous context manager."""

    def __init__(
        self,
        channel: GrpcChannel,
        *,
        chain_id: str | None = None,
        gas_price_micro: int | None = None,
    ) -> None:
        self.channel = channel
        self._chain_id = chain_id
        self._gas_price_micro = gas_price_micro
        self._accounts: dict[str, SignerState] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        chain_id: str | None = None,
        gas_price_micro: int | None = None,
    ) -> Self:
        """A client of the node at grpc+http://host:port; nothing is sent yet.

        Without chain_id and gas_price_micro (millionths of umargin per gas) the node is asked.
        """
        return cls(
            GrpcChannel(url, timeout_s=timeout_s),
            chain_id=chain_id,
            gas_price_micro=gas_price_micro,
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
        """Close the connection."""
        await self.channel.aclose()

    # Queries.

    async def query(
        self, path: str, request: Message, response: type[M], *, height: int | None = None
    ) -> M:
        """The typed response of any query method `/package.Service/Method`."""
        return await self.channel.call(path, request, response, height=height)

    async def query_any(self, path: str, request: Message, *, height: int | None = None) -> Message:
        """The response of a query method whose type is found in the descriptors."""
        info = get_methods_by_path().get(path)
        if info is None:
            raise NotFound(f"no method {path}; its form is /package.Service/Method")
        return await self.channel.call(
            path, request, find_message_class(info.response.full_name), height=height
        )

    async def chain_id(self) -> str:
        """The id of the chain the node runs."""
        if self._chain_id is None:
            info = await self.query(
                "/cosmos.base.tendermint.v1beta1.Service/GetNodeInfo",
                comet_query.GetNodeInfoRequest(),
                comet_query.GetNodeInfoResponse,
            )
            self._chain_id = info.default_node_info.network
        return self._chain_id

    async def account(self, address: str) -> auth_pb2.BaseAccount:
        """Number, sequence and key of an account; raises NotFound before its first coin."""
        answer = await self.query(
            "/cosmos.auth.v1beta1.Query/Account",
            auth_query.QueryAccountRequest(address=address),
            auth_query.QueryAccountResponse,
        )
        account = auth_pb2.BaseAccount()
        if not answer.account.Unpack(account):
            raise MalformedAnswer(f"account {address} is a {answer.account.type_url}")
        return account

    async def balance(self, address: str, denom: str, *, height: int | None = None) -> int:
        """Atomic units of a denomination that an address holds."""
        answer = await self.query(
            "/cosmos.bank.v1beta1.Query/Balance",
            bank_query.QueryBalanceRequest(address=address, denom=denom),
            bank_query.QueryBalanceResponse,
            height=height,
        )
        return int(answer.balance.amount or 0)

    async def balances(self, address: str) -> dict[str, int]:
        """All coins of an address by denomination."""
        result: dict[str, int] = {}
        next_key = b""
        while True:
            answer = await self.query(
                "/cosmos.bank.v1beta1.Query/AllBalances",
                bank_query.QueryAllBalancesRequest(
                    address=address,
                    pagination=pagination_pb2.PageRequest(key=next_key, limit=PAGE_ROWS),
                ),
                bank_query.QueryAllBalancesResponse,
            )
            result |= {coin.denom: int(coin.amount) for coin in answer.balances}
            next_key = answer.pagination.next_key
            if not next_key:
                return result

    async def margin(self, owner: str, number: int = 0) -> accounts_query.QueryMarginResponse:
        """The whole margin computation of an account, haircut factors included."""
        return await self.query(
            "/margin.accounts.v1.Query/Margin",
            accounts_query.QueryMarginRequest(owner=owner, number=number),
            accounts_query.QueryMarginResponse,
        )

    async def gas_price_micro(self) -> int:
        """The least price the node takes, in millionths of umargin per gas."""
        if self._gas_price_micro is None:
            config = await self.query(
                "/cosmos.base.node.v1beta1.Service/Config",
                node_query.ConfigRequest(),
                node_query.ConfigResponse,
            )
            self._gas_price_micro = parse_gas_price_micro(config.minimum_gas_price)
        return self._gas_price_micro

    # Transactions.

    async def simulate(
        self, wallet: Wallet, messages: Sequence[Message], *, memo: str = ""
    ) -> Simulation:
        """What the messages would do on the node's latest state; raises QueryRefused.

        The transaction is signed and pays a token fee, so that the gas counts that work too.
        """
        state = await self._signer_state(wallet.address)
        fee = Fee(gas_limit=1, amount=1 if await self.gas_price_micro() else 0)
        answer = await self.query(
            "/cosmos.tx.v1beta1.Service/Simulate",
            service_pb2.SimulateRequest(
                tx_bytes=sign_transaction(wallet, messages, state, fee, memo=memo)
            ),
            service_pb2.SimulateResponse,
        )
        return Simulation(answer.gas_info.gas_used, _unpack_responses(answer.result.msg_responses))

    async def broadcast(self, tx: bytes) -> PendingTx:
        """Hand signed bytes to the mempool; raises TxRefused with CheckTx's answer."""
        answer = await self.query(
            "/cosmos.tx.v1beta1.Service/BroadcastTx",
            service_pb2.BroadcastTxRequest(tx_bytes=tx, mode=service_pb2.BROADCAST_MODE_SYNC),
            service_pb2.BroadcastTxResponse,
        )
        _raise_if_refused(answer.tx_response)
        return PendingTx(answer.tx_response.txhash or compute_tx_hash(tx), self)

    async def submit(
        self,
        wallet: Wallet,
        messages: Sequence[Message],
        *,
        gas_limit: int | None = None,
        fee_amount: int | None = None,
        memo: str = "",
    ) -> PendingTx:
        """Sign the messages as one atomic transaction and hand it to the mempool.

        Without gas_limit the transaction is simulated first; without fee_amount the node's least
        price is paid. Sequences of several transactions a block are kept here; after a sequence
        error the expected one is taken and the transaction sent once more.
        """
        async with self._locks.setdefault(wallet.address, asyncio.Lock()):
            for attempt in range(2):
                tx = await self._sign(wallet, messages, gas_limit, fee_amount, memo)
                try:
                    pending = await self.broadcast(tx)
                except TxRefused as error:
                    if not self._learn_sequence(wallet.address, error) or attempt:
                        raise
                    continue
                state = self._accounts[wallet.address]
                self._accounts[wallet.address] = _with_sequence(state, state.sequence + 1)
                return pending
        raise AssertionError("the loop above returns or raises")

    async def wait(self, txhash: str, *, timeout_s: float = WAIT_S) -> TxOutcome:
        """The outcome of a transaction once committed; raises TxRefused or WaitTimeout."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            try:
                return await self.get_tx(txhash)
            except NotFound:
                if asyncio.get_running_loop().time() >= deadline:
                    raise WaitTimeout(
                        f"no block held {txhash} within {timeout_s:g} s; it may still be included: "
                        f"query it again, or raise the fee"
                    ) from None
            await asyncio.sleep(POLL_S)

    async def get_tx(self, txhash: str) -> TxOutcome:
        """The outcome of a committed transaction; raises NotFound or TxRefused."""
        answer = await self.query(
            "/cosmos.tx.v1beta1.Service/GetTx",
            service_pb2.GetTxRequest(hash=txhash),
            service_pb2.GetTxResponse,
        )
        response = answer.tx_response
        _raise_if_refused(response)
        data = abci_pb2.TxMsgData.FromString(bytes.fromhex(response.data))
        return TxOutcome(
            txhash=response.txhash,
            height=response.height,
            gas_wanted=response.gas_wanted,
            gas_used=response.gas_used,
            responses=_unpack_responses(data.msg_responses),
            events=tuple(
                (event.type, {item.key: item.value for item in event.attributes})
                for event in response.events
            ),
        )

    # What desks do, in one call each.

    async def send(self, wallet: Wallet, receiver: str, amount: Amount) -> PendingTx:
        """Move coins between accounts of this chain."""
        message = bank_tx.MsgSend(
            from_address=wallet.address, to_address=receiver, amount=[amount.to_coin()]
        )
        return await self.submit(wallet, [message])

    async def lock_collateral(
        self, wallet: Wallet, amount: Amount, *, owner: str = "", account: int = 0
    ) -> PendingTx:
        """On a collateral chain: lock coins in its vault for a margin account of the hub."""
        message = vault_tx.MsgLockCollateral(
            depositor=wallet.address,
            owner=owner or wallet.address,
            account=account,
            denom=amount.denom,
            amount=str(amount.units),
        )
        return await self.submit(wallet, [message])

    async def deposit_cash(
        self, wallet: Wallet, amount: Amount, *, owner: str = "", number: int = 0
    ) -> PendingTx:
        """On the hub: move uusd from the wallet into an account's cash; raises InvalidField."""
        message = accounts_tx.MsgDepositCash(
            sender=wallet.address,
            owner=owner or wallet.address,
            number=number,
            amount_uusd=_uusd(amount),
        )
        return await self.submit(wallet, [message])

    async def withdraw_cash(
        self, wallet: Wallet, amount: Amount, *, number: int = 0, receiver: str = ""
    ) -> PendingTx:
        """On the hub: move uusd from an account's cash to the wallet or the receiver."""
        message = accounts_tx.MsgWithdrawCash(
            owner=wallet.address, number=number, amount_uusd=_uusd(amount), receiver=receiver
        )
        return await self.submit(wallet, [message])

    async def withdraw_collateral(
        self, wallet: Wallet, route_id: str, amount: Amount, receiver: str, *, account: int = 0
    ) -> PendingTx:
        """On the hub: release collateral of a route to an address on its chain."""
        message = collateral_tx.MsgWithdrawCollateral(
            owner=wallet.address,
            account=account,
            route_id=route_id,
            denom=amount.denom,
            amount=str(amount.units),
            receiver=receiver,
        )
        return await self.submit(wallet, [message])

    async def place_order(
        self,
        wallet: Wallet,
        market: str,
        *,
        is_buy: bool,
        size_quantums: int,
        price_wad: int | None = None,
        number: int = 0,
        is_reduce_only: bool = False,
    ) -> PendingTx:
        """On the hub: a limit order good till cancelled, or a market order without a price."""
        tif = (
            markets_pb2.TIME_IN_FORCE_IMMEDIATE_OR_CANCEL
            if price_wad is None
            else markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL
        )
        message = markets_tx.MsgPlaceOrder(
            owner=wallet.address,
            number=number,
            market=market,
            side=markets_pb2.SIDE_BUY if is_buy else markets_pb2.SIDE_SELL,
            size_quantums=str(size_quantums),
            price_wad="" if price_wad is None else str(price_wad),
            time_in_force=tif,
            reduce_only=is_reduce_only,
        )
        return await self.submit(wallet, [message])

    async def bid(
        self, wallet: Wallet, auction_id: int, units: int, max_price_ray: int, receiver: str
    ) -> PendingTx:
        """On the hub: buy up to units of an auction's collateral, delivered on its own chain."""
        message = liquidation_tx.MsgBid(
            bidder=wallet.address,
            auction_id=auction_id,
            amount=str(units),
            max_price_ray=str(max_price_ray),
            receiver=receiver,
        )
        return await self.submit(wallet, [message])

    async def _sign(
        self,
        wallet: Wallet,
        messages: Sequence[Message],
        gas_limit: int | None,
        fee_amount: int | None,
        memo: str,
    ) -> bytes:
        if gas_limit is None:
            used = await self._simulate_with_known_sequence(wallet, messages, memo)
            gas_limit = ceil_div(used * GAS_MARGIN_PPM, 1_000_000)
        if fee_amount is None:
            fee_amount = compute_fee_amount(gas_limit, await self.gas_price_micro())
        state = await self._signer_state(wallet.address)
        return sign_transaction(wallet, messages, state, Fee(gas_limit, fee_amount), memo=memo)

    async def _simulate_with_known_sequence(
        self, wallet: Wallet, messages: Sequence[Message], memo: str
    ) -> int:
        """Gas used; when the kept sequence is wrong the expected one is learnt and used."""
        try:
            return (await self.simulate(wallet, messages, memo=memo)).gas_used
        except QueryRefused as error:
            if not self._learn_sequence(wallet.address, error):
                raise
            return (await self.simulate(wallet, messages, memo=memo)).gas_used

    async def _signer_state(self, address: str) -> SignerState:
        state = self._accounts.get(address)
        if state is None:
            account = await self.account(address)
            state = SignerState(await self.chain_id(), account.account_number, account.sequence)
            self._accounts[address] = state
        return state

    def _learn_sequence(self, address: str, error: TxRefused | QueryRefused) -> bool:
        """Take over the sequence that a refusal names; whether it named one."""
        match = _EXPECTED_SEQUENCE.search(str(error))
        state = self._accounts.get(address)
        if match is None or state is None:
            return False
        self._accounts[address] = _with_sequence(state, int(match[1]))
        return True


def parse_gas_price_micro(text: str) -> int:
    """Millionths of umargin per gas of a price list like `0.001umargin`, rounded up; empty is 0.

    Raises MalformedAnswer.
    """
    for part in filter(None, text.split(",")):
        match = _GAS_PRICE.fullmatch(part.strip())
        if match is None:
            raise MalformedAnswer(f"minimum gas price {text!r}")
        if match[3] == FEE_DENOM:
            fraction = match[2] or ""
            return ceil_div(int(match[1] + fraction) * GAS_PRICE_SCALE, 10 ** len(fraction))
    return 0


def _with_sequence(state: SignerState, sequence: int) -> SignerState:
    return SignerState(state.chain_id, state.account_number, sequence)


def _unpack_responses(packed: Iterable[Any]) -> tuple[Message, ...]:
    return tuple(unpack_any(item) for item in packed)


def _raise_if_refused(response: abci_pb2.TxResponse) -> None:
    if response.code == 0:
        return
    raise TxRefused(
        f"{response.raw_log} [{response.codespace} {response.code}]",
        txhash=response.txhash,
        tx_codespace=response.codespace,
        tx_code=response.code,
        raw_log=response.raw_log,
        height=response.height,
        gas_wanted=response.gas_wanted,
        gas_used=response.gas_used,
    )


def _uusd(amount: Amount) -> str:
    if amount.denom != "uusd":
        raise InvalidField(f"cash is uusd, not {amount.denom}; e.g. 100 USD")
    return str(amount.units)
