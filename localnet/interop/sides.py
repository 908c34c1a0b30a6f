"""Chains as the scenarios see them, channels between them, and transfers over these."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from chain._pb.ibc.core.channel.v1 import query_pb2 as channel_query
from chain._pb.ibc.core.client.v1 import client_pb2
from chain.client.api import TxOutcome
from chain.client.errors import NodeUnavailable, NotFound, QueryRefused
from chain.client.sync import SyncMarginClient
from chain.client.wallet import Wallet
from chain.ibc.apps.transfer.denoms import Denom
from chain.ibc.height import parse_revision
from chain.units import NANOSECONDS
from localnet.actors import ACTORS
from localnet.interop.scenario import ScenarioFailed

TRANSFER_PORT: Final = "transfer"
SEEN_TIMEOUT_S: Final = 120.0
PACKET_TIMEOUT_S: Final = 600
GAS_LIMIT: Final = 2_000_000
GAS_PER_MESSAGE: Final = 400_000
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Side:
    """One chain: where its node listens, whose addresses it shows, what pays there."""

    chain_id: str
    rpc_url: str
    grpc_address: str
    rest_url: str
    prefix: str
    fee_denom: str
    coin: str
    """What its users send away."""

    def connect(self) -> SyncMarginClient:
        """A client; to ibc-go's chain nothing is paid."""
        price = None if self.prefix == "margin" else 0
        return SyncMarginClient.connect(
            f"grpc+http://{self.grpc_address}", chain_id=self.chain_id, gas_price_micro=price
        )

    def get_wallet(self, name: str) -> Wallet:
        """The key of a named account."""
        return Wallet.from_mnemonic(ACTORS[name].mnemonic, prefix=self.prefix)

    def get_address(self, name: str) -> str:
        """The address of a named account."""
        return self.get_wallet(name).address

    def get_balance(self, name: str, denom: str) -> int:
        """What a named account holds."""
        with self.connect() as client:
            return client.balance(self.get_address(name), denom)

    def deliver(self, name: str, *messages: Message) -> TxOutcome:
        """One transaction of a named account, in a block; raises TxRefused, WaitTimeout."""
        with self.connect() as client:
            gas_limit = max(GAS_LIMIT, len(messages) * GAS_PER_MESSAGE)
            sent = client.submit(self.get_wallet(name), messages, gas_limit=gas_limit)
            return sent.wait()

    def get_height(self) -> int:
        """A height the chain has reached, by the newest channel query."""
        with self.connect() as client:
            answer = client.query(
                "/ibc.core.channel.v1.Query/Channels",
                channel_query.QueryChannelsRequest(),
                channel_query.QueryChannelsResponse,
            )
        return int(answer.height.revision_height)


@dataclass(frozen=True, slots=True)
class ChannelEnd:
    """One side of a channel, with all that lies under it."""

    side: Side
    client_id: str
    connection_id: str
    channel_id: str
    port_id: str = TRANSFER_PORT

    def list_commitments(self) -> list[int]:
        """Sequences sent here and not yet acknowledged or timed out."""
        with self.side.connect() as client:
            answer = client.query(
                "/ibc.core.channel.v1.Query/PacketCommitments",
                channel_query.QueryPacketCommitmentsRequest(
                    port_id=self.port_id, channel_id=self.channel_id
                ),
                channel_query.QueryPacketCommitmentsResponse,
            )
        return [packet.sequence for packet in answer.commitments]


@dataclass(frozen=True, slots=True)
class Link:
    """An open channel between two chains."""

    a: ChannelEnd
    b: ChannelEnd

    @property
    def directions(self) -> tuple["Link", "Link"]:
        """From a to b, and from b to a: in each, `a` is the sender."""
        return self, Link(self.b, self.a)

    def get_voucher(self, coin: str) -> str:
        """What the sender's own coin is called at the receiver's."""
        return Denom(coin).with_hop(self.b.port_id, self.b.channel_id).local_denom

    def build_transfer(
        self,
        amount: int,
        *,
        denom: str = "",
        sender: str = "alice",
        receiver: str = "",
        memo: str = "",
        timeout_s: int = PACKET_TIMEOUT_S,
        timeout_height: int = 0,
    ) -> transfer_tx.MsgTransfer:
        """A transfer from a to b, by default to the sender's own address there."""
        height = client_pb2.Height()
        if timeout_height:
            revision = parse_revision(self.b.side.chain_id)
            height = client_pb2.Height(revision_number=revision, revision_height=timeout_height)
        return transfer_tx.MsgTransfer(
            source_port=self.a.port_id,
            source_channel=self.a.channel_id,
            token=coin_pb2.Coin(denom=denom or self.a.side.coin, amount=str(amount)),
            sender=self.a.side.get_address(sender),
            receiver=receiver or self.b.side.get_address(sender),
            timeout_height=height,
            timeout_timestamp=time.time_ns() + timeout_s * NANOSECONDS if timeout_s else 0,
            memo=memo,
        )

    def send(
        self,
        amount: int,
        *,
        denom: str = "",
        sender: str = "alice",
        receiver: str = "",
        memo: str = "",
        timeout_s: int = PACKET_TIMEOUT_S,
        timeout_height: int = 0,
        count: int = 1,
    ) -> list[int]:
        """Send transfers from a to b in one transaction; the sequences of their packets."""
        message = self.build_transfer(
            amount,
            denom=denom,
            sender=sender,
            receiver=receiver,
            memo=memo,
            timeout_s=timeout_s,
            timeout_height=timeout_height,
        )
        outcome = self.a.side.deliver(sender, *[message] * count)
        return [
            int(attributes["packet_sequence"])
            for kind, attributes in outcome.events
            if kind == "send_packet"
        ]


def wait_until_seen(
    condition: Callable[[], object], what: str, timeout_s: float = SEEN_TIMEOUT_S
) -> float:
    """Seconds until the condition came true; raises ScenarioFailed naming what did not."""
    started = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - started
        except (NotFound, QueryRefused, NodeUnavailable):
            pass
        if time.monotonic() - started > timeout_s:
            raise ScenarioFailed(f"{what}: not seen within {timeout_s:g} s")
        time.sleep(_POLL_S)


def play_round_trip(link: Link, amount: int = 12_345) -> str:
    """Coins of each chain to the other and home again, every packet acknowledged."""
    took = [_send_there_and_back(way, amount) for way in link.directions]
    return "received after " + " and ".join(f"{seconds:.1f} s" for seconds in took)


def _send_there_and_back(way: Link, amount: int) -> float:
    """Seconds until the sender's coins were received; raises ScenarioFailed."""
    coin, voucher = way.a.side.coin, way.get_voucher(way.a.side.coin)
    held = way.b.side.get_balance("alice", voucher)
    own = way.a.side.get_balance("alice", coin)
    way.send(amount)
    seconds = wait_until_seen(
        lambda: way.b.side.get_balance("alice", voucher) == held + amount,
        f"{amount} {coin} of {way.a.side.chain_id} on {way.b.side.chain_id}",
    )
    Link(way.b, way.a).send(amount, denom=voucher)
    wait_until_seen(
        lambda: way.b.side.get_balance("alice", voucher) == held,
        f"the voucher leaves {way.b.side.chain_id}",
    )
    wait_until_seen(
        lambda: way.a.side.get_balance("alice", coin) == own,
        f"{amount} {coin} home on {way.a.side.chain_id}",
    )
    for end in (way.a, way.b):
        wait_until_acknowledged(end)
    return seconds


def wait_until_acknowledged(end: ChannelEnd) -> float:
    """Seconds until nothing sent from an end is open any more; raises ScenarioFailed."""
    return wait_until_seen(
        lambda: not end.list_commitments(), f"acknowledgements on {end.side.chain_id}"
    )
