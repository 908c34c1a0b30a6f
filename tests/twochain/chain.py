"""Chains for IBC tests: real applications whose blocks get real signed headers on one clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from chain._pb.cosmos.ics23.v1 import proofs_pb2
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.ibc import host
from chain.ibc import module as ibc_module
from chain.ibc.client.membership import Proof
from chain.ibc.height import Height, parse_revision
from chain.lightclient.types import Validator, ValidatorSet
from chain.modules import auth, bank, validators
from chain.modules.auth import state as auth_state
from chain.modules.bank import state as bank_state
from chain.runtime.definition import ChainDefinition
from tests.support.echo import PORT, EchoApplication, Script
from tests.support.headers import HeaderChain, TestBlock, TestValidatorSet
from tests.support.testchain import START_NS, BlockResult, TestChain

GAS_LIMIT = 50_000_000
AUTHORITY = "alice"


class TxRefused(Exception):
    """A transaction that failed in its block."""

    def __init__(self, result: abci.ExecTxResult) -> None:
        super().__init__(f"{result.codespace}/{result.code}: {result.log}")
        self.code = (result.codespace, result.code)
        self.log = result.log


@dataclass
class Clock:
    """The time all chains of a test share; a block of any of them takes a second."""

    now_ns: int = START_NS

    def advance(self, duration_ns: int) -> None:
        self.now_ns += duration_ns


class IbcChain(TestChain):
    """A chain in memory with signed headers and proofs; the header of block H+1 proves block H."""

    __test__ = False

    def __init__(self, clock: Clock, chain_id: str, definition: ChainDefinition, **fields: Any):
        self.clock = clock
        super().__init__(definition, chain_id=chain_id, start_ns=clock.now_ns, **fields)
        self.headers = HeaderChain(self._build_validator_set(), chain_id)
        self.next_block()

    def _build_validator_set(self) -> TestValidatorSet:
        pairs = [(Validator(bytes(key.verify_key), 10), key) for key in self.validator_keys]
        pairs.sort(key=lambda pair: (-pair[0].voting_power, pair[0].address))
        members, keys = zip(*pairs, strict=True)
        return TestValidatorSet(ValidatorSet(members), keys)

    def next_block(self, txs: Iterable[bytes] = (), **fields: Any) -> BlockResult:
        """Commit a block a second later than any before, and sign its header."""
        app_hash = self.store.app_hash if self.height else self.init_response.app_hash
        self.time_ns = self.clock.now_ns
        result = super().next_block(txs, **fields)
        self.clock.now_ns = self.time_ns
        self.headers.append(app_hash=app_hash, time_ns=self.time_ns)
        return result

    @property
    def latest_block(self) -> TestBlock:
        return self.headers.blocks[-1]

    @property
    def latest_height(self) -> Height:
        """The height of the last header, which proves the state one block below."""
        return Height(parse_revision(self.chain_id), self.height)

    def deliver(self, *messages: Message, signer: str = "alice") -> abci.ExecTxResult:
        """Commit the messages in one transaction; raises TxRefused when it failed."""
        result = self.send(list(messages), signer, gas_limit=GAS_LIMIT)
        if result.code:
            raise TxRefused(result)
        return result

    def deliver_together(self, *messages: Message) -> list[abci.ExecTxResult]:
        """Commit each message in a transaction of its own, all in one block, from one signer."""
        first = self.account("alice").sequence
        raws = [
            self.draft([message], gas_limit=GAS_LIMIT, sequences=[first + index]).build()
            for index, message in enumerate(messages)
        ]
        return self.next_block(raws).results

    def prove(self, path: bytes) -> Proof:
        """A proof that the last header verifies: of the value under a path, or of its absence."""
        _, (leaf, multistore) = self.store.prove(host.STORE, path, self.height - 1)
        message = commitment_pb2.MerkleProof(
            proofs=[
                proofs_pb2.CommitmentProof.FromString(leaf),
                proofs_pb2.CommitmentProof.FromString(multistore),
            ]
        )
        return Proof(message.SerializeToString(deterministic=True), self.latest_height)


class EchoChain(IbcChain):
    """A chain of auth, bank, validators, IBC and the echo application; alice is its authority."""

    def __init__(self, clock: Clock, chain_id: str) -> None:
        self.echo = EchoApplication()
        definition = ChainDefinition(
            name="echo",
            modules=(
                auth.module(),
                bank.MODULE,
                validators.MODULE,
                ibc_module({PORT: self.echo}, lambda _: self.accounts[AUTHORITY].address),
                self.echo.module(),
            ),
            accounts=auth_state,
            fees=bank_state,
            validators=validators.state,
        )
        super().__init__(clock, chain_id, definition, validators=4)

    def run(self, script: Script) -> BlockResult:
        """Run a script inside the next block; an exception of it is raised here."""
        raised: list[Exception] = []

        def guarded(ctx: Any) -> None:
            try:
                script(ctx)
            except Exception as error:
                raised.append(error)
                raise

        self.echo.scripts.append(guarded)
        result = self.next_block()
        if raised:
            raise raised[0]
        return result
