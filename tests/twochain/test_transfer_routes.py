"""ICS-20 over a triangle of chains: whatever way tokens take, every voucher is backed to the unit.

Tokens go out, on, round and home in any order, under a relayer that loses, repeats and delays;
receipts are refused, packets expire.
"""

from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.ibc.apps.transfer import state
from chain.ibc.apps.transfer.denoms import PORT, Denom, compute_escrow_address, parse_path
from chain.ibc.apps.transfer.packet_data import decode_packet_data
from chain.ibc.channel.handlers import NOOP, SUCCESS
from chain.ibc.router import Packet
from chain.modules.bank import state as bank
from chain.spoke import SPOKE
from chain.units import NANOSECONDS
from tests.twochain.chain import Clock, IbcChain, TxRefused
from tests.twochain.path import Endpoint, Path
from tests.twochain.test_transfer import ACCEPTED, CONFIG, NATIVE, START, send

BASES = {"alpha-1": "uone", "beta-1": "utwo", "gamma-1": "uthree"}
ISSUED = 1_000


def build_triangle() -> list[Path]:
    """Every way between three chains: six directed paths over three channels."""
    clock = Clock()
    chains = [
        IbcChain(clock, chain_id, SPOKE, accounts={"alice": {NATIVE: START, base: ISSUED}})
        for chain_id, base in BASES.items()
    ]
    ways = []
    for left, right in ((0, 1), (1, 2), (2, 0)):
        a, b = (Endpoint(chains[i], channel_config=CONFIG) for i in (left, right))
        ways += [Path(a, b).setup(), Path(b, a)]
    return ways


@dataclass
class Sent:
    """A transfer and what became of it; `denom` is what its sender's chain calls the token."""

    way: Path
    packet: Packet
    denom: Denom
    amount: int
    answer: bytes = b""
    is_settled: bool = False

    @property
    def is_in_flight(self) -> bool:
        """Whether the tokens are neither with the receiver nor again with the sender."""
        return not self.is_settled and self.answer != ACCEPTED


class TransferRoutes(RuleBasedStateMachine):
    """Alice on three chains sends what she holds to herself."""

    def __init__(self) -> None:
        super().__init__()
        self.ways = build_triangle()
        self.sent: list[Sent] = []

    @rule(
        way=st.integers(0, 5),
        choice=st.integers(0, 9),
        share=st.integers(1, 4),
        timeout_s=st.sampled_from([20, 400]),
        is_refused=st.booleans(),
    )
    def send(self, way, choice, share, timeout_s, is_refused) -> None:
        path = self.ways[way]
        ctx, alice = path.a.chain.read_context(), path.a.signer
        held = [
            (denom, amount)
            for address, denom, amount in bank.get_balances(ctx)
            if address == alice and denom != NATIVE
        ]
        if not held:
            return
        local, amount = held[choice % len(held)]
        amount = max(1, amount // share)
        packet = send(path.a, local, amount, "nobody" if is_refused else path.b.signer, timeout_s)
        self.sent.append(Sent(path, packet, state.require_denom(ctx, local), amount))

    def pick(self, index: int) -> Sent:
        return self.sent[index % len(self.sent)]

    @precondition(lambda self: self.sent)
    @rule(index=st.integers(0, 30))
    def receive(self, index: int) -> None:
        sent = self.pick(index)
        try:
            answer = sent.way.b.recv(sent.packet)
        except TxRefused as error:
            is_gone = error.code == ("commitment", 2) and sent.is_settled
            if error.code != ("channel", 40) and not is_gone:
                raise
            return
        if sent.answer:
            assert answer == b""
        else:
            assert not sent.is_settled
            sent.answer = answer

    @precondition(lambda self: any(s.answer for s in self.sent))
    @rule(index=st.integers(0, 30))
    def acknowledge(self, index: int) -> None:
        answered = [s for s in self.sent if s.answer]
        sent = answered[index % len(answered)]
        expected = NOOP if sent.is_settled else SUCCESS
        assert sent.way.a.acknowledge(sent.packet, sent.answer) == expected
        sent.is_settled = True

    @precondition(lambda self: self.sent)
    @rule(index=st.integers(0, 30))
    def time_out(self, index: int) -> None:
        sent = self.pick(index)
        try:
            outcome = sent.way.a.timeout(sent.packet)
        except TxRefused as error:
            is_received = error.code[0] == "commitment" and sent.answer
            if error.code != ("channel", 39) and not is_received:
                raise
            return
        assert outcome == (NOOP if sent.is_settled else SUCCESS)
        sent.is_settled = True

    @rule(seconds=st.sampled_from([1, 60]))
    def wait(self, seconds: int) -> None:
        self.ways[0].a.chain.clock.advance(seconds * NANOSECONDS)

    @invariant()
    def every_voucher_is_backed(self) -> None:
        for path in self.ways:
            here, there = path.a.chain.read_context(), path.b.chain.read_context()
            escrow = compute_escrow_address(PORT, path.a.channel_id)
            held = {
                denom: amount
                for address, denom, amount in bank.get_balances(here)
                if address == escrow
            }
            owed = dict(self.get_vouchers(path, there))
            for sent in self.sent:
                if sent.is_in_flight and self.crosses(sent, path):
                    local = self.get_origin(sent, path)
                    owed[local] = owed.get(local, 0) + sent.amount
            assert held == {denom: amount for denom, amount in owed.items() if amount}

    def get_vouchers(self, path: Path, there) -> list[tuple[str, int]]:
        """What path.b issued over the channel, by what path.a calls it."""
        found = []
        for denom in state.iterate_denoms(there):
            if denom.has_first_hop(PORT, path.b.channel_id):
                supply = bank.get_supply(there, denom.local_denom)
                found.append((denom.without_hop().local_denom, supply))
        return found

    def crosses(self, sent: Sent, path: Path) -> bool:
        """Whether the escrow of path.a backs tokens in flight: going out, or coming home."""
        is_home = sent.denom.has_first_hop(PORT, sent.way.a.channel_id)
        if sent.way.a is path.a:
            return not is_home
        return sent.way.a is path.b and is_home

    def get_origin(self, sent: Sent, path: Path) -> str:
        denom = sent.denom if sent.way.a is path.a else sent.denom.without_hop()
        return denom.local_denom

    @invariant()
    def no_unit_is_made_or_lost(self) -> None:
        for path in self.ways[::2]:
            ctx = path.a.chain.read_context()
            base = BASES[path.a.chain.chain_id]
            assert bank.get_supply(ctx, base) == ISSUED
            assert bank.find_broken_supply(ctx) is None
            for denom in state.iterate_denoms(ctx):
                assert parse_path(denom.path) == denom

    def teardown(self) -> None:
        """What left with a data of its own reads as it was written."""
        for sent in self.sent:
            assert decode_packet_data(sent.packet.data).denom == sent.denom


TestTransferRoutes = TransferRoutes.TestCase
TestTransferRoutes.settings = settings(
    max_examples=8,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_a_token_goes_round_and_home_by_the_way_it_came() -> None:
    """alpha → beta → gamma → alpha is another token; only the way back gives the original."""
    ways = build_triangle()
    out, on, around = ways[0], ways[2], ways[4]
    local = "uone"
    for path in (out, on, around):
        assert path.relay(send(path.a, local, 100, path.b.signer)) == ACCEPTED
        denom = state.require_denom(path.a.chain.read_context(), local)
        local = denom.with_hop(PORT, path.b.channel_id).local_denom
    alpha = out.a.chain
    assert alpha.balance("alice", local) == 100
    assert len(state.require_denom(alpha.read_context(), local).trace) == 3
    assert alpha.balance("alice", "uone") == ISSUED - 100
    for path in (ways[5], ways[3], ways[1]):
        ctx = path.a.chain.read_context()
        back = state.require_denom(ctx, local).without_hop().local_denom
        assert path.relay(send(path.a, local, 100, path.b.signer)) == ACCEPTED
        assert bank.get_supply(path.a.chain.read_context(), local) == 0
        local = back
    assert local == "uone"
    assert alpha.balance("alice", "uone") == ISSUED
