"""ICS-20 between two real chains: headers, proofs, and supplies that no schedule can change."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.ibc.applications.transfer.v1 import tx_pb2
from chain.ibc.apps.transfer import state
from chain.ibc.apps.transfer.denoms import Denom, compute_escrow_address
from chain.ibc.channel.handlers import NOOP, SUCCESS
from chain.ibc.height import Height
from chain.ibc.router import Packet
from chain.modules.auth.types import module_address
from chain.modules.bank import state as bank
from chain.spoke import SPOKE
from chain.units import NANOSECONDS
from tests.twochain.chain import Clock, IbcChain, TxRefused
from tests.twochain.path import ChannelConfig, Endpoint, Path, get_events

CONFIG = ChannelConfig(port_id="transfer", version="ics20-1")
START = 10**12
NATIVE = "umargin"
ACCEPTED = b'{"result":"AQ=="}'


def build_path() -> Path:
    clock = Clock()
    ends = [
        Endpoint(
            IbcChain(
                clock,
                chain_id,
                SPOKE,
                accounts={"alice": {NATIVE: START, name: 1_000}, "bob": {NATIVE: START}},
            ),
            channel_config=CONFIG,
        )
        for chain_id, name in (("alpha-1", "uone"), ("beta-1", "utwo"))
    ]
    return Path(*ends).setup()


def send(end: Endpoint, denom: str, amount: int, receiver: str, timeout_s: int = 600) -> Packet:
    message = tx_pb2.MsgTransfer(
        source_port="transfer",
        source_channel=end.channel_id,
        token=coin_pb2.Coin(denom=denom, amount=str(amount)),
        sender=end.signer,
        receiver=receiver,
        timeout_timestamp=end.chain.clock.now_ns + timeout_s * NANOSECONDS,
    )
    result = end.chain.deliver(message)
    (values,) = get_events(result.events, "send_packet")
    return Packet(
        sequence=int(values["packet_sequence"]),
        source_port=values["packet_src_port"],
        source_channel=values["packet_src_channel"],
        destination_port=values["packet_dst_port"],
        destination_channel=values["packet_dst_channel"],
        data=bytes.fromhex(values["packet_data_hex"]),
        timeout_height=Height(0, 0),
        timeout_timestamp_ns=int(values["packet_timeout_timestamp"]),
    )


def get_balance(end: Endpoint, denom: str, name: str = "alice") -> int:
    address = end.chain.accounts[name].address
    return bank.get_balance(end.chain.read_context(), address, denom)


def get_voucher(end: Endpoint, base: str) -> str:
    """What the other chain's token is called at this end."""
    return Denom(base).with_hop("transfer", end.channel_id).local_denom


def test_a_token_travels_there_and_back():
    path = build_path()
    receiver = path.b.chain.accounts["bob"].address
    assert path.relay(send(path.a, "uone", 400, receiver)) == ACCEPTED
    voucher = get_voucher(path.b, "uone")
    assert get_balance(path.b, voucher, "bob") == 400
    assert get_balance(path.a, "uone") == 600
    back = Path(path.b, path.a)
    moved = send(path.a, "uone", 100, path.b.signer)
    assert path.relay(moved) == ACCEPTED
    assert back.relay(send(path.b, voucher, 100, path.a.signer)) == ACCEPTED
    assert get_balance(path.a, "uone") == 600
    assert bank.get_supply(path.b.chain.read_context(), voucher) == 400


@pytest.mark.parametrize("receiver", ["cosmos1nobody", module_address("vault"), "x" * 2_048])
def test_a_refused_transfer_is_refunded_and_its_events_are_gone(receiver):
    path = build_path()
    packet = send(path.a, "uone", 400, receiver)
    result = path.b.chain.deliver(path.b.build_recv(packet))
    assert not get_events(result.events, "fungible_token_packet")
    assert not get_events(result.events, "coinbase")
    (refusal,) = get_events(result.events, "packet_refused")
    (written,) = get_events(result.events, "write_acknowledgement")
    answer = bytes.fromhex(written["packet_ack_hex"])
    expected = f"ABCI code: {refusal['code']}: error handling packet: see events for details"
    assert answer.decode() == f'{{"error":"{expected}"}}'
    assert path.a.acknowledge(packet, answer) == SUCCESS
    assert get_balance(path.a, "uone") == 1_000
    assert bank.get_supply(path.b.chain.read_context(), get_voucher(path.b, "uone")) == 0


def test_a_transfer_channel_stays_open():
    path = build_path()
    with pytest.raises(TxRefused) as caught:
        path.a.chan_close_init()
    assert caught.value.code == ("ibc", 8)


class TransferLife(RuleBasedStateMachine):
    """Tokens of two chains under a careless relayer, going out and home in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.path = build_path()
        self.ways = {
            0: Path(self.path.a, self.path.b),
            1: Path(self.path.b, self.path.a),
        }
        # (direction, packet, base denom, amount); what is known of each by its index.
        self.sent: list[tuple[int, Packet, str, int]] = []
        self.answers: dict[int, bytes] = {}
        self.settled: dict[int, str] = {}

    @rule(
        way=st.integers(0, 1),
        is_voucher=st.booleans(),
        amount=st.integers(1, 300),
        timeout_s=st.sampled_from([20, 400]),
        is_refused=st.booleans(),
    )
    def send(self, way, is_voucher, amount, timeout_s, is_refused) -> None:
        end = self.ways[way].a
        native, foreign = (("uone", "utwo"), ("utwo", "uone"))[way]
        denom = get_voucher(end, foreign) if is_voucher else native
        if get_balance(end, denom) < amount:
            return
        receiver = "nobody" if is_refused else end.counterparty.signer
        packet = send(end, denom, amount, receiver, timeout_s)
        self.sent.append((way, packet, foreign if is_voucher else native, amount))

    @precondition(lambda self: self.sent)
    @rule(index=st.integers(0, 20))
    def receive(self, index: int) -> None:
        index %= len(self.sent)
        way, packet, _, _ = self.sent[index]
        try:
            answer = self.ways[way].b.recv(packet)
        except TxRefused as error:
            is_gone = error.code == ("commitment", 2) and index in self.settled
            if error.code != ("channel", 40) and not is_gone:
                raise
            return
        if index in self.answers:
            assert answer == b""
        else:
            assert self.settled.get(index) is None
            self.answers[index] = answer

    @precondition(lambda self: self.answers)
    @rule(index=st.integers(0, 20))
    def acknowledge(self, index: int) -> None:
        index = sorted(self.answers)[index % len(self.answers)]
        way, packet, _, _ = self.sent[index]
        expected = NOOP if index in self.settled else SUCCESS
        assert self.ways[way].a.acknowledge(packet, self.answers[index]) == expected
        self.settled.setdefault(index, "acknowledged")

    @precondition(lambda self: self.sent)
    @rule(index=st.integers(0, 20))
    def timeout(self, index: int) -> None:
        index %= len(self.sent)
        way, packet, _, _ = self.sent[index]
        try:
            outcome = self.ways[way].a.timeout(packet)
        except TxRefused as error:
            is_received = error.code[0] == "commitment" and index in self.answers
            if error.code != ("channel", 39) and not is_received:
                raise
            return
        assert outcome == (NOOP if index in self.settled else SUCCESS)
        assert index in self.settled or index not in self.answers
        self.settled.setdefault(index, "timeout")

    @rule(seconds=st.sampled_from([1, 60]))
    def wait(self, seconds: int) -> None:
        self.path.a.chain.clock.advance(seconds * NANOSECONDS)

    def get_in_flight(self, base: str) -> int:
        """What left one chain, did not arrive at the other, and did not come back."""
        return sum(
            amount
            for index, (_, _, name, amount) in enumerate(self.sent)
            if name == base and index not in self.settled and self.answers.get(index) != ACCEPTED
        )

    @invariant()
    def no_unit_is_made_or_lost(self) -> None:
        for home, base in ((self.path.a, "uone"), (self.path.b, "utwo")):
            ctx = home.chain.read_context()
            escrow = compute_escrow_address("transfer", home.channel_id)
            held = bank.get_balance(ctx, escrow, base)
            abroad = home.counterparty.chain.read_context()
            issued = bank.get_supply(abroad, get_voucher(home.counterparty, base))
            assert bank.get_supply(ctx, base) == 1_000
            assert held == issued + self.get_in_flight(base)
            assert state.get_total_escrow(ctx, base) == held
            assert bank.find_broken_supply(ctx) is None


TestTransferLife = TransferLife.TestCase
TestTransferLife.settings = settings(
    max_examples=8,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
