"""Any interleaving of sends, relays, losses and time: each packet has exactly one fate."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.ibc.channel.handlers import NOOP, SUCCESS
from chain.ibc.height import Height
from chain.ibc.router import Packet
from tests.support.echo import get_count
from tests.twochain.chain import TxRefused
from tests.twochain.path import Coordinator, Path


class PacketLife(RuleBasedStateMachine):
    """An unordered channel under a careless relayer; packets go from a to b."""

    def __init__(self) -> None:
        super().__init__()
        self.coordinator = Coordinator()
        self.path: Path = self.coordinator.create_echo_path().setup()
        self.sent: list[Packet] = []
        self.acknowledgements: dict[int, bytes] = {}
        self.acknowledged: list[int] = []
        self.timed_out: list[int] = []

    def pick(self, index: int) -> Packet:
        return self.sent[index % len(self.sent)]

    def is_settled(self, packet: Packet) -> bool:
        return packet.sequence in self.acknowledged or packet.sequence in self.timed_out

    @rule(
        data=st.sampled_from([b"hello", b"refuse"]),
        timeout_s=st.sampled_from([5, 30, 500]),
        by_height=st.booleans(),
    )
    def send(self, data: bytes, timeout_s: int, *, by_height: bool) -> None:
        if by_height:
            height = Height(1, self.path.b.chain.height + timeout_s)
            self.sent.append(self.path.a.send_packet(data, timeout_height=height))
        else:
            self.sent.append(self.path.a.send_packet(data, timeout_s=timeout_s))

    @precondition(lambda self: self.sent)
    @rule(index=st.integers(0, 20))
    def receive(self, index: int) -> None:
        packet = self.pick(index)
        try:
            acknowledgement = self.path.b.recv(packet)
        except TxRefused as error:
            is_late = error.code == ("channel", 40)
            # Once settled, the sender's commitment is gone and nothing proves the packet.
            is_gone = error.code == ("commitment", 2) and self.is_settled(packet)
            if not (is_late or is_gone):
                raise
            return
        if packet.sequence in self.acknowledgements:
            assert acknowledgement == b""
        else:
            assert packet.sequence not in self.timed_out
            self.acknowledgements[packet.sequence] = acknowledgement

    @precondition(lambda self: self.acknowledgements)
    @rule(index=st.integers(0, 20))
    def acknowledge(self, index: int) -> None:
        packet = self.pick(index)
        acknowledgement = self.acknowledgements.get(packet.sequence)
        if acknowledgement is None:
            return
        expected = NOOP if self.is_settled(packet) else SUCCESS
        assert self.path.a.acknowledge(packet, acknowledgement) == expected
        if expected == SUCCESS:
            self.acknowledged.append(packet.sequence)

    @precondition(lambda self: self.sent)
    @rule(index=st.integers(0, 20))
    def timeout(self, index: int) -> None:
        packet = self.pick(index)
        try:
            outcome = self.path.a.timeout(packet)
        except TxRefused as error:
            is_early = error.code == ("channel", 39)
            is_received = error.code[0] == "commitment" and packet.sequence in self.acknowledgements
            if not (is_early or is_received):
                raise
            return
        assert outcome == (NOOP if self.is_settled(packet) else SUCCESS)
        if outcome == SUCCESS:
            assert packet.sequence not in self.acknowledgements
            self.timed_out.append(packet.sequence)

    @rule(seconds=st.sampled_from([1, 20, 100]))
    def wait(self, seconds: int) -> None:
        self.coordinator.advance(seconds)

    @rule(blocks=st.integers(1, 6))
    def idle(self, blocks: int) -> None:
        for _ in range(blocks):
            self.path.b.chain.next_block()

    @invariant()
    def every_packet_has_one_fate(self) -> None:
        ctx_a, ctx_b = self.path.a.chain.read_context(), self.path.b.chain.read_context()
        in_flight = [p for p in self.sent if self.path.a.has_commitment(p)]
        assert len(in_flight) == len(self.sent) - len(self.acknowledged) - len(self.timed_out)
        accepted = [a for a in self.acknowledgements.values() if a.startswith(b"echo:")]
        assert get_count(ctx_b, "recv") == len(accepted)
        acked = get_count(ctx_a, "ack") + get_count(ctx_a, "ack_error")
        assert acked == len(self.acknowledged)
        assert get_count(ctx_a, "timeout") == len(self.timed_out)


TestPacketLife = PacketLife.TestCase
TestPacketLife.settings = settings(
    max_examples=8,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
