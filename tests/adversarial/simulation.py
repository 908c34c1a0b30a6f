"""A long random life of both chains: good, broken and drawn messages, wild prices, lossy relaying.

Run as a program it prints one digest over every answer, so that processes can be compared.
"""

import sys
from collections.abc import Callable
from hashlib import sha256
from random import Random

from google.protobuf.message import Message

from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.council.v1 import council_pb2
from chain._pb.margin.liquidation.v1 import tx_pb2 as liquidation_tx
from chain._pb.margin.validators.v1 import validators_pb2
from chain._pb.margin.vault.v1 import tx_pb2 as vault_tx
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.ibc.channel.handlers import SUCCESS
from chain.ibc.router import Packet
from chain.modules.accounts import state as accounts
from chain.modules.bank import state as bank
from chain.modules.council.types import authority_address
from chain.runtime.router import get_signers, pack
from chain.units import WAD
from tests.adversarial.generate import Generator
from tests.adversarial.seeds import build_seeds
from tests.adversarial.world import TRADERS, World, build_world, play_story
from tests.modules.economy import BUY, ETHER, SELL, USD, order
from tests.twochain.chain import IbcChain, TxRefused
from tests.twochain.path import Endpoint, get_events
from tests.twochain.test_margin import ETH, read_packet

GAS_LIMIT = 20_000_000
PRICE_STEPS_PPM = (500_000, 900_000, 980_000, 995_000, 1_000_000, 1_005_000, 1_020_000, 1_150_000)
STRANGE_PRICES = (1, 10**9, WAD // 100, 10**40, 2_000 * WAD)
GOVERNED = ("accounts", "collateral", "insurance", "liquidation", "markets", "oracle", "vault")


class Simulation:
    """One random life; every choice is drawn from the seed."""

    def __init__(self, seed: int) -> None:
        self.source = Random(seed)
        self.world: World = play_story(build_world())
        names = [*(self.world.address(name) for name in TRADERS), authority_address()]
        self.generators = {
            chain.chain_id: Generator(chain.app.router, names)
            for chain in (self.world.hub, self.world.spoke)
        }
        self.signers = {self.world.address(name): name for name in TRADERS}
        self.in_flight: list[tuple[Endpoint, Packet]] = []
        self.received: list[tuple[Endpoint, Packet, bytes]] = []
        self.seen = {chain.chain_id: 0 for chain in (self.world.hub, self.world.spoke)}
        self.codes: dict[tuple[str, int], int] = {}
        self.collect()

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            self.play_round()
            self.collect()
            self.check()

    def play_round(self) -> None:
        source, world = self.source, self.world
        self.move_prices()
        for chain in (world.hub, world.spoke):
            raws = []
            for name in source.sample(TRADERS, source.randrange(4)):
                messages = [self.draw_message(chain, name) for _ in range(source.choice((1, 1, 2)))]
                raws.append(chain.draft(messages, name, gas_limit=GAS_LIMIT).build())
            if source.random() < 0.1:
                raws.append(source.randbytes(source.randrange(300)))
            for raw in raws[:1]:
                chain.check(raw)
            for result in chain.next_block(raws).results:
                self.count(result.codespace, result.code)
        if source.random() < 0.1:
            self.govern(source.choice((world.hub, world.spoke)))
        if source.random() < 0.5:
            self.relay()
        if source.random() < 0.1:
            world.hub.clock.advance(source.choice((10, 60, 700, 4_000)) * 10**9)

    def move_prices(self) -> None:
        source, prices = self.source, self.world.feed.prices
        if source.random() < 0.5:
            eth = prices.get("ETH", 2_000 * WAD)
            prices["ETH"] = max(1, eth * source.choice(PRICE_STEPS_PPM) // 10**6)
        if source.random() < 0.03:
            prices["ETH"] = source.choice(STRANGE_PRICES)
        if source.random() < 0.05:
            prices.pop("ETH", None)

    def draw_message(self, chain: IbcChain, name: str) -> Message:
        """A message of the chain, signed by the named account, good or bad."""
        source, generator = self.source, self.generators[chain.chain_id]
        router = chain.app.router
        kind = source.random()
        if kind < 0.6:
            message = self.draw_deed(chain, name)
            if source.random() < 0.1:
                message = generator.spoil(source, message)
        elif kind < 0.9:
            message = source.choice(build_seeds(self.world, chain))
            if source.random() < 0.3:
                message = generator.spoil(source, message)
        else:
            route = router.messages[source.choice(sorted(router.messages))]
            message = generator.draw(source, route.request)
        field_name = router.messages["/" + message.DESCRIPTOR.full_name].signer_field
        if "." not in field_name:
            setattr(message, field_name, self.world.address(name))
        return message

    def draw_deed(self, chain: IbcChain, name: str) -> Message:
        """Something a user would do: trade near the price, deposit, lock, withdraw, bid."""
        source, me = self.source, self.world.address(name)
        if chain is self.world.spoke:
            amount = str(source.choice((1, ETH // 100, ETH, 20 * ETH)))
            return vault_tx.MsgLockCollateral(depositor=me, owner=me, denom="aeth", amount=amount)
        kind = source.randrange(10)
        usd = str(source.choice((1, USD, 1_000 * USD, 50_000 * USD)))
        if kind == 0:
            return accounts_tx.MsgDepositCash(sender=me, owner=me, amount_uusd=usd)
        if kind == 1:
            return accounts_tx.MsgWithdrawCash(owner=me, amount_uusd=usd)
        if kind == 2:
            amount = str(source.choice((1, ETH // 100, ETH)))
            return collateral_tx.MsgWithdrawCollateral(
                owner=me, route_id="alpha", denom="aeth", amount=amount, receiver=me
            )
        if kind == 3:
            return liquidation_tx.MsgBid(
                bidder=me,
                auction_id=source.randrange(1, 6),
                amount=str(source.choice((1, ETH, 50 * ETH))),
                max_price_ray=str(10**40),
                receiver=me,
            )
        cents = self.world.feed.prices.get("ETH", WAD) * 100 // WAD
        return order(
            me,
            source.choice((BUY, SELL)),
            source.choice((1_000, ETHER, 7 * ETHER, 90 * ETHER)),
            max(1, cents * source.randrange(960, 1_041) // 1_000),
            reduce_only=source.random() < 0.2,
        )

    def govern(self, chain: IbcChain) -> None:
        """The council does something that may be unwise."""
        source = self.source
        authority = authority_address()
        wise = [
            message
            for message in build_seeds(self.world, chain)
            if get_signers(chain.app.router.messages["/" + message.DESCRIPTOR.full_name], message)
            == (authority,)
            and not isinstance(message, validators_pb2.MsgUpdateValidator)
            and getattr(message, "module", GOVERNED[0]) in GOVERNED
        ]
        message = self.generators[chain.chain_id].spoil(source, source.choice(wise))
        alice = self.world.address("alice")
        proposal = council_pb2.MsgSubmitProposal(proposer=alice, messages=[pack(message)])
        result = chain.send(proposal)
        self.count(result.codespace, result.code)
        for values in get_events(result.events, "submit_proposal"):
            number = int(values["proposal_id"])
            done = chain.send(
                council_pb2.MsgExecute(executor=alice, proposal_id=number), gas_limit=GAS_LIMIT
            )
            self.count(done.codespace, done.code)

    def relay(self) -> None:
        """Some packets arrive, some twice, some acknowledgements come back, some time out."""
        source = self.source
        source.shuffle(self.in_flight)
        source.shuffle(self.received)
        for flight in self.in_flight[:2]:
            if self.is_relayed(lambda f=flight: self.receive(*f)) and source.random() < 0.9:
                self.in_flight.remove(flight)
        for flight in self.in_flight[2:3]:
            if self.is_relayed(lambda f=flight: f[0].timeout(f[1])):
                self.in_flight.remove(flight)
        for answer in self.received[:2]:
            if self.is_relayed(lambda a=answer: a[0].acknowledge(*a[1:])):
                self.received.remove(answer)

    def receive(self, origin: Endpoint, packet: Packet) -> None:
        acknowledgement = origin.counterparty.recv(packet)
        if acknowledgement:
            self.received.append((origin, packet, acknowledgement))

    def is_relayed(self, step: Callable[[], object]) -> bool:
        """Whether a step of relaying is taken by the chain that is asked."""
        try:
            step()
        except TxRefused as error:
            self.count(*error.code)
            return False
        self.count("relayed", SUCCESS)
        return True

    def count(self, codespace: str, code: int) -> None:
        self.codes[codespace, code] = self.codes.get((codespace, code), 0) + 1

    def collect(self) -> None:
        """Note the packets that the new blocks of both chains sent."""
        for origin in (self.world.path.a, self.world.path.b):
            chain = origin.chain
            for block in chain.blocks[self.seen[chain.chain_id] :]:
                results = [abci.ExecTxResult(events=block.response.events), *block.results]
                for result in results:
                    for event in result.events:
                        if event.type == "send_packet":
                            single = abci.ExecTxResult(events=[event])
                            self.in_flight.append((origin, read_packet(single)))
            self.seen[chain.chain_id] = len(chain.blocks)

    def check(self) -> None:
        """What must hold after every round."""
        for chain in (self.world.hub, self.world.spoke):
            assert not chain.app.errors.by_place, chain.app.errors.by_place
            assert bank.find_broken_supply(chain.read_context()) is None
            for event in chain.blocks[-1].response.events:
                values = {a.key: a.value for a in event.attributes}
                assert (values.get("codespace"), values.get("code")) != ("sdk", "1"), event
        ctx = self.world.hub.read_context()
        held = bank.get_balance(ctx, accounts.MODULE_ADDRESS, "uusd")
        assert held == accounts.compute_ledger(ctx).expected_balance_uusd

    def digest(self) -> str:
        """All answers of FinalizeBlock of both chains, and what both would export."""
        total = sha256()
        for chain in (self.world.hub, self.world.spoke):
            for block in chain.blocks:
                total.update(block.response.SerializeToString(deterministic=True))
            total.update(chain.app.export_genesis())
        return total.hexdigest()


def main() -> None:
    simulation = Simulation(int(sys.argv[1]))
    simulation.run(int(sys.argv[2]))
    sys.stdout.write(simulation.digest() + "\n")


if __name__ == "__main__":
    main()
