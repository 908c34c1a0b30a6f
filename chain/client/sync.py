"""The client of chain.client.api for programs without asyncio: same names, blocking calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from google.protobuf.message import Message

from chain._pb.cosmos.auth.v1beta1 import auth_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as accounts_query
from chain.client.amount import Amount
from chain.client.api import WAIT_S, MarginClient, PendingTx, Simulation, TxOutcome
from chain.client.blocking import LoopThread
from chain.client.grpc_channel import TIMEOUT_S
from chain.client.wallet import Wallet

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class SyncPendingTx:
    """A transaction in the mempool."""

    txhash: str
    client: "SyncMarginClient"

    def wait(self, timeout_s: float = WAIT_S) -> TxOutcome:
        """The outcome once a block holds the transaction; raises TxRefused or WaitTimeout."""
        return self.client.wait(self.txhash, timeout_s=timeout_s)


class SyncMarginClient:
    """A connection to one node with blocking calls; use connect() as a context manager."""

    def __init__(self, client: MarginClient, loop: LoopThread) -> None:
        self._client = client
        self._loop = loop

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        chain_id: str | None = None,
        gas_price_micro: int | None = None,
    ) -> Self:
        """A client of the node at grpc+http://host:port; nothing is sent yet."""

        async def open_client() -> MarginClient:
            return MarginClient.connect(
                url, timeout_s=timeout_s, chain_id=chain_id, gas_price_micro=gas_price_micro
            )

        loop = LoopThread()
        try:
            return cls(loop.run(open_client()), loop)
        except BaseException:
            loop.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and its thread."""
        self._loop.run(self._client.aclose())
        self._loop.close()

    def query(
        self, path: str, request: Message, response: type[M], *, height: int | None = None
    ) -> M:
        """The typed response of any query method `/package.Service/Method`."""
        return self._loop.run(self._client.query(path, request, response, height=height))

    def query_any(self, path: str, request: Message, *, height: int | None = None) -> Message:
        """The response of a query method whose type is found in the descriptors."""
        return self._loop.run(self._client.query_any(path, request, height=height))

    def chain_id(self) -> str:
        """The id of the chain the node runs."""
        return self._loop.run(self._client.chain_id())

    def account(self, address: str) -> auth_pb2.BaseAccount:
        """Number, sequence and key of an account; raises NotFound before its first coin."""
        return self._loop.run(self._client.account(address))

    def balance(self, address: str, denom: str, *, height: int | None = None) -> int:
        """Atomic units of a denomination that an address holds."""
        return self._loop.run(self._client.balance(address, denom, height=height))

    def balances(self, address: str) -> dict[str, int]:
        """All coins of an address by denomination."""
        return self._loop.run(self._client.balances(address))

    def margin(self, owner: str, number: int = 0) -> accounts_query.QueryMarginResponse:
        """The whole margin computation of an account, haircut factors included."""
        return self._loop.run(self._client.margin(owner, number))

    def gas_price_micro(self) -> int:
        """The least price the node takes, in millionths of umargin per gas."""
        return self._loop.run(self._client.gas_price_micro())

    def simulate(
        self, wallet: Wallet, messages: Sequence[Message], *, memo: str = ""
    ) -> Simulation:
        """What the messages would do on the node's latest state; raises QueryRefused."""
        return self._loop.run(self._client.simulate(wallet, messages, memo=memo))

    def broadcast(self, tx: bytes) -> SyncPendingTx:
        """Hand signed bytes to the mempool; raises TxRefused with CheckTx's answer."""
        return self._pending(self._loop.run(self._client.broadcast(tx)))

    def submit(
        self,
        wallet: Wallet,
        messages: Sequence[Message],
        *,
        gas_limit: int | None = None,
        fee_amount: int | None = None,
        memo: str = "",
    ) -> SyncPendingTx:
        """Sign the messages as one atomic transaction and hand it to the mempool."""
        return self._pending(
            self._loop.run(
                self._client.submit(
                    wallet, messages, gas_limit=gas_limit, fee_amount=fee_amount, memo=memo
                )
            )
        )

    def wait(self, txhash: str, *, timeout_s: float = WAIT_S) -> TxOutcome:
        """The outcome of a transaction once committed; raises TxRefused or WaitTimeout."""
        return self._loop.run(self._client.wait(txhash, timeout_s=timeout_s))

    def get_tx(self, txhash: str) -> TxOutcome:
        """The outcome of a committed transaction; raises NotFound or TxRefused."""
        return self._loop.run(self._client.get_tx(txhash))

    def send(self, wallet: Wallet, receiver: str, amount: Amount) -> SyncPendingTx:
        """Move coins between accounts of this chain."""
        return self._pending(self._loop.run(self._client.send(wallet, receiver, amount)))

    def lock_collateral(
        self, wallet: Wallet, amount: Amount, *, owner: str = "", account: int = 0
    ) -> SyncPendingTx:
        """On a collateral chain: lock coins in its vault for a margin account of the hub."""
        return self._pending(
            self._loop.run(
                self._client.lock_collateral(wallet, amount, owner=owner, account=account)
            )
        )

    def deposit_cash(
        self, wallet: Wallet, amount: Amount, *, owner: str = "", number: int = 0
    ) -> SyncPendingTx:
        """On the hub: move uusd from the wallet into an account's cash."""
        return self._pending(
            self._loop.run(self._client.deposit_cash(wallet, amount, owner=owner, number=number))
        )

    def withdraw_cash(
        self, wallet: Wallet, amount: Amount, *, number: int = 0, receiver: str = ""
    ) -> SyncPendingTx:
        """On the hub: move uusd from an account's cash to the wallet or the receiver."""
        return self._pending(
            self._loop.run(
                self._client.withdraw_cash(wallet, amount, number=number, receiver=receiver)
            )
        )

    def withdraw_collateral(
        self, wallet: Wallet, route_id: str, amount: Amount, receiver: str, *, account: int = 0
    ) -> SyncPendingTx:
        """On the hub: release collateral of a route to an address on its chain."""
        return self._pending(
            self._loop.run(
                self._client.withdraw_collateral(
                    wallet, route_id, amount, receiver, account=account
                )
            )
        )

    def place_order(
        self,
        wallet: Wallet,
        market: str,
        *,
        is_buy: bool,
        size_quantums: int,
        price_wad: int | None = None,
        number: int = 0,
        is_reduce_only: bool = False,
    ) -> SyncPendingTx:
        """On the hub: a limit order good till cancelled, or a market order without a price."""
        return self._pending(
            self._loop.run(
                self._client.place_order(
                    wallet,
                    market,
                    is_buy=is_buy,
                    size_quantums=size_quantums,
                    price_wad=price_wad,
                    number=number,
                    is_reduce_only=is_reduce_only,
                )
            )
        )

    def bid(
        self, wallet: Wallet, auction_id: int, units: int, max_price_ray: int, receiver: str
    ) -> SyncPendingTx:
        """On the hub: buy up to units of an auction's collateral, delivered on its own chain."""
        return self._pending(
            self._loop.run(self._client.bid(wallet, auction_id, units, max_price_ray, receiver))
        )

    def _pending(self, pending: PendingTx) -> SyncPendingTx:
        return SyncPendingTx(pending.txhash, self)
