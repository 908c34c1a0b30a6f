"""The collateral identity under any interleaving of deposits, withdrawals, seizures and losses."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.errors import ChainError
from chain.ibc.apps.margin import decode_acknowledgement
from chain.modules.bank import state as bank
from chain.modules.collateral import packets, state
from tests.modules.economy import ALICE, BOB, CAROL, assert_identities, deliver
from tests.modules.margin_network import (
    DENOM,
    ETH,
    assert_collateral_identity,
    build_network,
    get_identity,
)


class MarginMachine(RuleBasedStateMachine):
    """Packets wait in a bag; each is delivered, acknowledged or timed out in any order."""

    def __init__(self):
        super().__init__()
        self.network = build_network()
        self.network.hub.ctx.time_ns += 1
        self.waiting = []
        self.delivered = []

    def _post(self, source, target, sent):
        self.waiting.extend((source, target, packet) for packet in sent)

    @rule(amount=st.integers(1, 60 * ETH), owner=st.sampled_from([ALICE, BOB]))
    def lock(self, amount, owner):
        try:
            packet = self.network.lock(amount, owner=owner)
        except ChainError:
            return
        self._post(self.network.spoke, self.network.hub, [packet])

    @rule(amount=st.integers(1, 40 * ETH), owner=st.sampled_from([ALICE, BOB]))
    def withdraw(self, amount, owner):
        try:
            packet = self.network.withdraw(amount, owner=owner, receiver=CAROL)
        except ChainError:
            return
        self._post(self.network.hub, self.network.spoke, [packet])

    @rule()
    def let_time_pass(self):
        self.network.advance(5, ETH=2_000)
        sent = self.network.hub.collect()
        self._post(self.network.hub, self.network.spoke, sent)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def deliver_one(self, data):
        index = data.draw(st.integers(0, len(self.waiting) - 1))
        source, target, packet = self.waiting.pop(index)
        acknowledgement = target.receive(packet)
        self.delivered.append((source, packet, acknowledgement))

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def acknowledge_one(self, data):
        index = data.draw(st.integers(0, len(self.delivered) - 1))
        source, packet, acknowledgement = self.delivered.pop(index)
        source.acknowledge(packet, acknowledgement)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def time_out_one(self, data):
        index = data.draw(st.integers(0, len(self.waiting) - 1))
        source, _, packet = self.waiting.pop(index)
        source.time_out(packet)

    @rule(amount=st.integers(1, 40 * ETH), owner=st.sampled_from([ALICE, BOB]))
    def order_twice(self, amount, owner):
        """One order reaches the vault twice: carried out at most once."""
        ctx = self.network.hub.ctx
        route = state.require_route(ctx, "alpha")
        try:
            flight = deliver(
                ctx,
                lambda child, _: packets.send_release(
                    child, state.AccountId(owner, 0), route, DENOM, amount, CAROL
                ),
                None,
            )
        except ChainError:
            return
        (packet,) = [p for p in self.network.hub.collect() if flight.flight_id.encode() in p.data]
        first = self.network.spoke.receive(packet)
        second = self.network.spoke.receive(packet)
        assert bool(decode_acknowledgement(first).code) == bool(decode_acknowledgement(second).code)
        # Received, so it can no longer time out: only its acknowledgement is left.
        self.delivered.append((self.network.hub, packet, second))

    @invariant()
    def identity_holds(self):
        assert_collateral_identity(self.network)
        assert_identities(self.network.hub.ctx)

    def teardown(self):
        """When every packet has met its fate nothing is in flight, and the sums are plain."""
        for source, packet, acknowledgement in self.delivered:
            source.acknowledge(packet, acknowledgement)
        for source, target, packet in self.waiting:
            source.acknowledge(packet, target.receive(packet))
        identity = get_identity(self.network)
        assert identity.inbound == identity.outbound == identity.difference == 0
        released = bank.get_balance(self.network.spoke.ctx, CAROL, DENOM)
        free = bank.get_balance(self.network.spoke.ctx, BOB, DENOM)
        assert released + free + identity.liens == 1_000 * ETH


TestMarginMachine = MarginMachine.TestCase
TestMarginMachine.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
