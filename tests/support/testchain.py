"""An application driven in process: real transactions and keys, a virtual clock, real
signatures.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coincurve import PrivateKey
from google.protobuf.message import Message
from nacl.signing import SigningKey

from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.crypto.secp256k1 import keys_pb2
from chain._pb.cosmos.tx.signing.v1beta1 import signing_pb2
from chain._pb.cosmos.tx.v1beta1 import tx_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain._pb.tendermint.types import params_pb2, validator_pb2
from chain.hub import HUB
from chain.lightclient.encoding import encode_vote_extension_sign_bytes
from chain.modules.council import state as council_state
from chain.node.storage import open_commit_store
from chain.runtime.address import compute_account_address
from chain.runtime.application import Application, NodeOptions
from chain.runtime.commit_store import CommitStore
from chain.runtime.context import Context
from chain.runtime.definition import ChainDefinition
from chain.runtime.genesis import build_default_app_state
from chain.runtime.router import pack
from chain.runtime.tx import compute_sign_bytes
from chain.units import NANOSECONDS, Address

DENOM = "umargin"
START_NS = 1_800_000_000 * NANOSECONDS
BLOCK_NS = NANOSECONDS


@dataclass
class Account:
    """A key in the hands of a test, with the number and sequence its next transaction needs."""

    name: str
    key: PrivateKey
    number: int = -1
    sequence: int = 0

    @classmethod
    def named(cls, name: str) -> "Account":
        return cls(name, PrivateKey(hashlib.sha256(f"account/{name}".encode()).digest()))

    @property
    def public_key(self) -> bytes:
        return self.key.public_key.format(compressed=True)

    @property
    def address(self) -> Address:
        return compute_account_address(self.public_key)

    def sign(self, sign_bytes: bytes) -> bytes:
        """The 64-byte low-s signature."""
        return self.key.sign_recoverable(sign_bytes)[:64]


@dataclass
class TxDraft:
    """A transaction before its bytes: change any part, then build."""

    messages: Sequence[Message]
    signers: Sequence[Account]
    chain_id: str
    gas_limit: int = 1_000_000
    fee: Sequence[tuple[str, int]] = ((DENOM, 1_000),)
    memo: str = ""
    sequences: Sequence[int] | None = None
    numbers: Sequence[int] | None = None
    body: tx_pb2.TxBody = field(default_factory=tx_pb2.TxBody)
    auth_info: tx_pb2.AuthInfo = field(default_factory=tx_pb2.AuthInfo)

    def fill(self) -> "TxDraft":
        """Write body and auth_info from the simple fields."""
        self.body = tx_pb2.TxBody(messages=[pack(m) for m in self.messages], memo=self.memo)
        sequences = self.sequences or [s.sequence for s in self.signers]
        self.auth_info = tx_pb2.AuthInfo(
            signer_infos=[
                tx_pb2.SignerInfo(
                    public_key=pack(keys_pb2.PubKey(key=signer.public_key)),
                    mode_info=tx_pb2.ModeInfo(
                        single=tx_pb2.ModeInfo.Single(mode=signing_pb2.SIGN_MODE_DIRECT)
                    ),
                    sequence=sequence,
                )
                for signer, sequence in zip(self.signers, sequences, strict=True)
            ],
            fee=tx_pb2.Fee(
                amount=[coin_pb2.Coin(denom=d, amount=str(a)) for d, a in self.fee],
                gas_limit=self.gas_limit,
            ),
        )
        return self

    def build(self) -> bytes:
        """The signed bytes of body and auth_info as they are now."""
        body, auth_info = self.body.SerializeToString(), self.auth_info.SerializeToString()
        numbers = self.numbers or [s.number for s in self.signers]
        return tx_pb2.TxRaw(
            body_bytes=body,
            auth_info_bytes=auth_info,
            signatures=[
                signer.sign(compute_sign_bytes(body, auth_info, self.chain_id, number))
                for signer, number in zip(self.signers, numbers, strict=True)
            ],
        ).SerializeToString()


@dataclass
class BlockResult:
    """A committed block: what went in and what FinalizeBlock answered."""

    height: int
    txs: list[bytes]
    response: abci.ResponseFinalizeBlock
    items: list[bytes]
    """What stood in the block: the injected commit, when there was one, and the transactions."""

    @property
    def results(self) -> list[abci.ExecTxResult]:
        """The results of the sent transactions, without the injected commit's."""
        return list(self.response.tx_results)[-len(self.txs) :] if self.txs else []


class TestChain:
    """One chain of ours in memory: `send` commits a block with one transaction, `query` asks.

    Every proposed block goes through PrepareProposal and ProcessProposal of the application itself,
    and with `vote_extensions` through ExtendVote, signed by each validator's real key.
    """

    __test__ = False

    def __init__(
        self,
        definition: ChainDefinition = HUB,
        *,
        chain_id: str = "test-1",
        accounts: Mapping[str, Mapping[str, int]] | None = None,
        app_state: Mapping[str, Any] | None = None,
        validators: int = 1,
        vote_extensions: bool = False,
        max_gas: int = -1,
        options: NodeOptions | None = None,
        store: CommitStore | None = None,
        start_ns: int = START_NS,
        modules: Iterable[Any] = (),
    ) -> None:
        self.definition = definition
        self.chain_id = chain_id
        self.store = store or open_commit_store(None, definition.store_names)
        self.app = Application(definition, self.store, options, node_modules=tuple(modules))
        self.time_ns = start_ns
        self.blocks: list[BlockResult] = []
        names = {"alice": {DENOM: 10**12}, "bob": {DENOM: 10**12}} if accounts is None else accounts
        self.accounts = {name: Account.named(name) for name in names}
        self.validator_keys = [
            SigningKey(hashlib.sha256(f"validator/{i}".encode()).digest())
            for i in range(validators)
        ]
        self.vote_extensions = vote_extensions
        self.mempool: list[bytes] = []
        self.last_commit = abci.ExtendedCommitInfo()
        self.params = params_pb2.ConsensusParams(
            block=params_pb2.BlockParams(max_bytes=4 << 20, max_gas=max_gas),
            evidence=params_pb2.EvidenceParams(max_age_num_blocks=100_000, max_bytes=1 << 20),
            validator=params_pb2.ValidatorParams(pub_key_types=["ed25519"]),
            abci=params_pb2.ABCIParams(vote_extensions_enable_height=1 if vote_extensions else 0),
        )
        self.app_state = self.build_app_state(names, app_state or {})
        self.init_response = self.init_chain()

    def build_app_state(
        self, balances: Mapping[str, Mapping[str, int]], overrides: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Defaults of every module, the named accounts' balances, the validators, then
        overrides.
        """
        state = build_default_app_state(self.definition)
        state["bank"]["balances"] = [
            {
                "address": self.accounts[name].address,
                "coins": [{"denom": d, "amount": str(a)} for d, a in sorted(coins.items()) if a],
            }
            for name, coins in balances.items()
        ]
        state["validators"]["validators"] = [
            json_validator(key, power=10, index=i) for i, key in enumerate(self.validator_keys)
        ]
        for module, part in overrides.items():
            state[module] = {**state.get(module, {}), **part}
        return state

    def init_chain(self) -> abci.ResponseInitChain:
        request = abci.RequestInitChain(
            chain_id=self.chain_id,
            initial_height=1,
            app_state_bytes=json.dumps(self.app_state).encode(),
            consensus_params=self.params,
        )
        request.time.FromNanoseconds(self.time_ns)
        return self.app.init_chain(request)

    # Transactions.

    def account(self, name: str) -> Account:
        """The named account with number and sequence as committed."""
        account = self.accounts.setdefault(name, Account.named(name))
        stored = self.definition.accounts.get_account(self.read_context(), account.address)
        if stored is not None:
            account.number, account.sequence = stored.account_number, stored.sequence
        return account

    def draft(self, messages: Sequence[Message], signer: str = "alice", **fields: Any) -> TxDraft:
        """A transaction of the named signer, ready to build or to break."""
        signers = [self.account(name) for name in signer.split(",")]
        return TxDraft(messages, signers, self.chain_id, **fields).fill()

    def check(self, raw: bytes, *, recheck: bool = False) -> abci.ResponseCheckTx:
        """CheckTx."""
        kind = abci.CheckTxType.RECHECK if recheck else abci.CheckTxType.NEW
        return self.app.check_tx(abci.RequestCheckTx(tx=raw, type=kind))

    def send(
        self, messages: Message | Sequence[Message], signer: str = "alice", **fields: Any
    ) -> abci.ExecTxResult:
        """Sign, check, and commit in a block of its own; the result, refused or not.

        A transaction that CheckTx refuses goes into the block all the same.
        """
        listed = [messages] if isinstance(messages, Message) else list(messages)
        raw = self.draft(listed, signer, **fields).build()
        self.check(raw)
        return self.next_block([raw]).results[0]

    def must_send(
        self, messages: Message | Sequence[Message], signer: str = "alice", **fields: Any
    ) -> abci.ExecTxResult:
        """As send, for a transaction that has to succeed."""
        result = self.send(messages, signer, **fields)
        assert result.code == 0, f"{result.codespace}/{result.code}: {result.log}"
        return result

    def decide(self, *messages: Message, members: Sequence[str] = ("alice",)) -> abci.ExecTxResult:
        """Have the council do something: propose, approve by every member, execute."""
        from chain._pb.margin.council.v1 import council_pb2  # noqa: PLC0415

        first, *others = members
        submitted = self.must_send(
            council_pb2.MsgSubmitProposal(
                proposer=self.account(first).address, messages=[pack(m) for m in messages]
            ),
            first,
        )
        attributes = {
            a.key: a.value for e in submitted.events for a in e.attributes if e.type != "tx"
        }
        proposal_id = int(attributes["proposal_id"])
        for member in others:
            self.must_send(
                council_pb2.MsgApprove(
                    member=self.account(member).address, proposal_id=proposal_id
                ),
                member,
            )
        delay = council_state.PARAMS.get(self.read_context()).execution_delay_ns
        self.advance(delay)
        return self.must_send(
            council_pb2.MsgExecute(executor=self.account(first).address, proposal_id=proposal_id),
            first,
            gas_limit=20_000_000,
        )

    # Blocks.

    @property
    def height(self) -> int:
        return self.store.height

    def advance(self, duration_ns: int) -> None:
        """Let virtual time pass; the next block shows it."""
        self.time_ns += duration_ns

    def next_block(
        self,
        txs: Iterable[bytes] = (),
        *,
        misbehavior: Iterable[abci.Misbehavior] = (),
        absent: Iterable[int] = (),
    ) -> BlockResult:
        """Propose, vote on, execute and commit a block; validators listed in absent do not vote."""
        sent = list(txs)
        self.time_ns += BLOCK_NS
        height = self.height + 1
        evidence = list(misbehavior)
        items = list(self.propose(height, sent).txs)
        status = self.process(height, items).status
        assert status == abci.ResponseProcessProposal.ACCEPT, "own proposal rejected"
        request = abci.RequestFinalizeBlock(
            height=height,
            txs=items,
            misbehavior=evidence,
            proposer_address=self.validator_address(0),
            decided_last_commit=to_commit_info(self.last_commit),
        )
        request.time.FromNanoseconds(self.time_ns)
        response = self.app.finalize_block(request)
        self.last_commit = self.vote(height, set(absent))
        self.app.commit(abci.RequestCommit())
        result = BlockResult(height, sent, response, items)
        self.blocks.append(result)
        return result

    def propose(self, height: int, txs: Sequence[bytes]) -> abci.ResponsePrepareProposal:
        """PrepareProposal over the given mempool."""
        request = abci.RequestPrepareProposal(
            height=height,
            txs=txs,
            max_tx_bytes=4 << 20,
            local_last_commit=self.last_commit,
            proposer_address=self.validator_address(0),
        )
        request.time.FromNanoseconds(self.time_ns)
        return self.app.prepare_proposal(request)

    def process(self, height: int, items: Sequence[bytes]) -> abci.ResponseProcessProposal:
        """ProcessProposal of a block with these items."""
        request = abci.RequestProcessProposal(
            height=height,
            txs=items,
            proposed_last_commit=to_commit_info(self.last_commit),
            proposer_address=self.validator_address(0),
        )
        request.time.FromNanoseconds(self.time_ns)
        return self.app.process_proposal(request)

    def validator_address(self, index: int) -> bytes:
        key = bytes(self.validator_keys[index].verify_key)
        return hashlib.sha256(key).digest()[:20]

    def vote(self, height: int, absent: Iterable[int]) -> abci.ExtendedCommitInfo:
        """The commit of a block, extended when vote extensions are on."""
        commit = abci.ExtendedCommitInfo(round=0)
        missing = list(absent)
        for index, key in enumerate(self.validator_keys):
            vote = commit.votes.add()
            vote.validator.address = self.validator_address(index)
            vote.validator.power = 10
            if index in missing:
                vote.block_id_flag = validator_pb2.BLOCK_ID_FLAG_ABSENT
                continue
            vote.block_id_flag = validator_pb2.BLOCK_ID_FLAG_COMMIT
            if self.vote_extensions:
                vote.vote_extension = self.extend(height, index)
                vote.extension_signature = key.sign(
                    encode_vote_extension_sign_bytes(
                        self.chain_id, height, commit.round, vote.vote_extension
                    )
                ).signature
        return commit

    def extend(self, height: int, index: int) -> bytes:
        """The extension of a validator; tests replace this to play different feeds."""
        del index
        request = abci.RequestExtendVote(height=height)
        request.time.FromNanoseconds(self.time_ns)
        return self.app.extend_vote(request).vote_extension

    # Reading.

    def read_context(self) -> Context:
        """The state the next transaction meets: for reads through modules' state verbs."""
        check = self.app._check_ctx
        return Context(
            chain_id=self.chain_id,
            height=check.height,
            time_ns=check.time_ns,
            store=type(check.store)(self.store.latest()),
        )

    def query(self, path: str, request: Message, response: type[Any], height: int = 0) -> Any:
        """A gRPC method over the application's own query server."""
        data, _ = self.app.run_query(path, request.SerializeToString(), height)
        return response.FromString(data)

    def query_sequence(self, name: str = "alice") -> int:
        """The committed sequence of a named account."""
        return self.account(name).sequence

    def balance(self, name: str, denom: str = DENOM) -> int:
        """The committed balance of a named account, or of an address."""
        from chain.modules.bank import state as bank_state  # noqa: PLC0415

        address = self.accounts[name].address if name in self.accounts else Address(name)
        return bank_state.get_balance(self.read_context(), address, denom)


def to_commit_info(extended: abci.ExtendedCommitInfo) -> abci.CommitInfo:
    """The commit without extensions, as blocks carry it."""
    return abci.CommitInfo(
        round=extended.round,
        votes=[
            abci.VoteInfo(validator=vote.validator, block_id_flag=vote.block_id_flag)
            for vote in extended.votes
        ],
    )


def json_validator(key: SigningKey, power: int, index: int) -> dict[str, Any]:
    """A validator as a genesis states it."""
    from base64 import b64encode  # noqa: PLC0415

    return {
        "consensus_pubkey": b64encode(bytes(key.verify_key)).decode(),
        "power": str(power),
        "moniker": f"validator-{index}",
    }
