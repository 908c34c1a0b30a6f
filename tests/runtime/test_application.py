"""The application as CometBFT drives it: genesis, votes, hooks, queries, export, order of calls."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chain._pb.cosmos.auth.v1beta1 import query_pb2 as auth_query_pb2
from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query_pb2
from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_pb2
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.ics23.v1 import proofs_pb2
from chain._pb.cosmos.tx.v1beta1 import service_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.assembly import build_chain
from chain.errors import ChainError
from chain.modules.validators.types import compute_validator_address
from chain.node.storage import open_commit_store
from chain.runtime.application import Application, NodeOptions
from chain.runtime.context import Context
from chain.runtime.definition import ChainDefinition
from chain.runtime.errors import Halted, InvalidGenesis, NotOurTurn
from chain.runtime.module import MessageRoute, Module, Vote
from chain.runtime.vote_extensions import MARKER, encode_injected_commit
from tests.support.testchain import DENOM, TestChain, to_commit_info

BASE = build_chain("base", ())
ACCEPT = abci.ResponseProcessProposal.ACCEPT
REJECT = abci.ResponseProcessProposal.REJECT


def send_msg(chain: TestChain, amount: int = 5) -> bank_pb2.MsgSend:
    return bank_pb2.MsgSend(
        from_address=chain.accounts["alice"].address,
        to_address=chain.accounts["bob"].address,
        amount=[coin_pb2.Coin(denom=DENOM, amount=str(amount))],
    )


def with_module(definition: ChainDefinition, module: Module) -> ChainDefinition:
    return replace(definition, modules=(*definition.modules, module))


def without_message(definition: ChainDefinition, handler: Any) -> ChainDefinition:
    """The chain with bank's MsgSend handled by a broken handler."""
    modules = tuple(
        replace(m, messages=(MessageRoute(bank_pb2.MsgSend, handler, "from_address"),))
        if m.name == "bank"
        else m
        for m in definition.modules
    )
    return replace(definition, modules=modules)


# Genesis.


def test_info_and_order_of_calls() -> None:
    chain = TestChain(BASE)
    info = chain.app.info(abci.RequestInfo())
    assert (info.last_block_height, info.last_block_app_hash) == (0, b"")
    with pytest.raises(NotOurTurn):
        chain.app.finalize_block(abci.RequestFinalizeBlock(height=2))
    block = chain.next_block()
    info = chain.app.info(abci.RequestInfo())
    assert (info.last_block_height, info.last_block_app_hash) == (1, block.response.app_hash)
    with pytest.raises(NotOurTurn):
        chain.app.finalize_block(abci.RequestFinalizeBlock(height=1))
    with pytest.raises(NotOurTurn):
        chain.init_chain()


def test_finalize_twice_before_commit_gives_the_same() -> None:
    chain = TestChain(BASE)
    chain.next_block()
    raw = chain.draft([send_msg(chain)]).build()
    request = abci.RequestFinalizeBlock(height=2, txs=[raw])
    request.time.FromNanoseconds(chain.time_ns)
    first = chain.app.finalize_block(request)
    other = abci.RequestFinalizeBlock(height=2)
    other.time.FromNanoseconds(chain.time_ns + 1)
    assert chain.app.finalize_block(other).app_hash != first.app_hash
    assert chain.app.finalize_block(request) == first


BAD_GENESIS = {
    "unknown module": ({"nosuch": {}}, "app_state.nosuch"),
    "unknown key": ({"bank": {"balance": []}}, 'no field named "balance"'),
    "unknown nested key": (
        {"bank": {"balances": [{"address": "x", "coin": []}]}},
        r"balances\[0\]",
    ),
    "bad address": ({"bank": {"balances": [{"address": "x"}]}}, "app_state.bank"),
    "wrong type": ({"council": {"params": {"threshold": "two"}}}, "app_state.council"),
    "not an object": ({"bank": 7}, "app_state.bank"),
    "amount": (
        {"bank": {"supply": [{"denom": DENOM, "amount": "-1"}]}},
        "app_state.bank",
    ),
    "supply differs": (
        {"bank": {"supply": [{"denom": DENOM, "amount": "1"}]}},
        "differs from the sum",
    ),
    "no validator": ({"validators": {"validators": []}}, "the set would have 0 validators"),
    "threshold": (
        {
            "council": {
                "params": {
                    "members": ["margin13zyynerzwhdg067ckars39fg72vgspp5dzjm5c"],
                    "threshold": 2,
                    "voting_period_ns": "1",
                }
            }
        },
        "threshold 2 must lie within 1 and 1",
    ),
}


@pytest.mark.parametrize(("part", "text"), BAD_GENESIS.values(), ids=BAD_GENESIS.keys())
def test_bad_genesis(part: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidGenesis, match=text):
        init_raw(part) if part == {"bank": 7} else TestChain(BASE, app_state=part)


def init_raw(part: dict[str, Any]) -> None:
    store = open_commit_store(None, BASE.store_names)
    Application(BASE, store).init_chain(
        abci.RequestInitChain(chain_id="x-1", app_state_bytes=json.dumps(part).encode())
    )


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be an object"),
        (b'{"bank":{},"bank":{}}', "'bank' stands twice"),
        (b"[" * 100_000, "nests deeper"),
        (b"\xff", "not JSON"),
    ],
)
def test_bad_genesis_json(text: bytes, match: str) -> None:
    application = Application(BASE, open_commit_store(None, BASE.store_names))
    with pytest.raises(InvalidGenesis, match=match):
        application.init_chain(abci.RequestInitChain(chain_id="x-1", app_state_bytes=text))


def test_genesis_validators_must_agree() -> None:
    chain = TestChain(BASE)
    store = open_commit_store(None, BASE.store_names)
    request = abci.RequestInitChain(
        chain_id="x-1", app_state_bytes=json.dumps(chain.app_state).encode()
    )
    update = request.validators.add(power=11)
    update.pub_key.ed25519 = bytes(chain.validator_keys[0].verify_key)
    with pytest.raises(InvalidGenesis, match="validators"):
        Application(BASE, store).init_chain(request)


def test_export_import_export_is_identical() -> None:
    chain = TestChain(BASE, validators=3)
    chain.next_block()
    chain.must_send(send_msg(chain))
    first = chain.app.export_genesis()
    document = json.loads(first)
    again = TestChain(BASE, chain_id=document["chain_id"])
    store = open_commit_store(None, BASE.store_names)
    application = Application(BASE, store)
    request = abci.RequestInitChain(
        chain_id=document["chain_id"],
        initial_height=int(document["initial_height"]),
        app_state_bytes=json.dumps(document["app_state"]).encode(),
        consensus_params=again.params,
    )
    request.time.FromNanoseconds(chain.time_ns)
    application.init_chain(request)
    # The document is of the state before a block; only the height must be restored to compare.
    height = int(document["initial_height"])
    block = abci.RequestFinalizeBlock(height=height)
    block.time.FromNanoseconds(chain.time_ns)
    application.finalize_block(block)
    application.commit(abci.RequestCommit())
    second = json.loads(application.export_genesis())
    assert second.pop("initial_height") == str(height + 1)
    document.pop("initial_height")
    assert second == document


# Unexpected exceptions.


def test_internal_error_is_fixed_text_and_counted() -> None:
    def handle(ctx: Context, _msg: bank_pb2.MsgSend) -> bank_pb2.MsgSendResponse:
        ctx.kv("bank").set(b"sx", b"1")
        raise KeyError(str(object()))  # A memory address differs by process.

    chain = TestChain(without_message(BASE, handle))
    chain.next_block()
    balance = chain.balance("alice")
    result = chain.send(send_msg(chain))
    assert (result.codespace, result.code, result.log) == ("sdk", 1, "internal error")
    assert chain.balance("alice") == balance - 1000
    assert chain.read_context().kv("bank").get(b"sx") is None
    assert chain.app.errors.by_place == {"message": 1}


@pytest.mark.parametrize("fatal", [MemoryError, RecursionError])
def test_indeterministic_errors_halt(fatal: type[Exception]) -> None:
    def handle(_ctx: Context, _msg: bank_pb2.MsgSend) -> bank_pb2.MsgSendResponse:
        raise fatal

    chain = TestChain(without_message(BASE, handle))
    chain.next_block()
    with pytest.raises(fatal):
        chain.send(send_msg(chain))


def test_failing_hook_is_isolated() -> None:
    def begin(ctx: Context) -> None:
        ctx.kv("bank").set(b"sx", b"1")
        ctx.emit("never", {})
        raise ZeroDivisionError

    def end(ctx: Context) -> None:
        ctx.emit("done", {"height": ctx.height})

    module = Module(name="broken", begin_block=begin, end_block=end)
    chain = TestChain(with_module(BASE, module))
    block = chain.next_block([])
    assert [event.type for event in block.response.events] == ["hook_failed", "done"]
    assert chain.app.errors.by_place == {"broken.begin_block": 1}
    assert chain.read_context().kv("bank").get(b"sx") is None


def test_halt_height() -> None:
    chain = TestChain(BASE, options=NodeOptions(halt_height=2))
    chain.next_block()
    chain.next_block()
    with pytest.raises(Halted):
        chain.next_block()


# Votes.


class EchoRules:
    """Rules that store what validators said."""

    def extend_vote(self, ctx: Context) -> bytes:
        return b"price %d" % ctx.height

    def is_acceptable(self, _ctx: Context, extension: bytes) -> bool:
        return extension.startswith(b"price") and len(extension) < 100

    def process_votes(self, ctx: Context, votes: list[Vote]) -> None:
        for vote in votes:
            ctx.emit(
                "vote",
                {"address": vote.address.hex(), "power": vote.power, "said": vote.extension.hex()},
            )


@pytest.fixture
def voting() -> TestChain:
    chain = TestChain(
        with_module(BASE, Module(name="echo", vote_extensions=EchoRules())),
        validators=4,
        vote_extensions=True,
    )
    chain.next_block()
    return chain


def test_votes_reach_the_module(voting: TestChain) -> None:
    raw = voting.draft([send_msg(voting)]).build()
    block = voting.next_block([raw], absent=[3])
    assert len(block.response.tx_results) == 2
    assert block.results[0].code == 0
    votes = [event for event in block.response.events if event.type == "vote"]
    assert [vote.attributes[2].value for vote in votes] == [b"price 1".hex()] * 4
    block = voting.next_block()
    votes = [event for event in block.response.events if event.type == "vote"]
    assert [bytes.fromhex(v.attributes[2].value) for v in votes] == [b"price 2"] * 3 + [b""]


def test_no_votes_in_the_first_block(voting: TestChain) -> None:
    assert not [e for e in voting.blocks[0].response.events if e.type == "vote"]


def test_own_proposal_is_accepted_and_others_are_not(voting: TestChain) -> None:
    height = voting.height + 1
    items = list(voting.propose(height, []).txs)
    assert items[0].startswith(MARKER)
    assert voting.process(height, items).status == ACCEPT
    assert voting.process(height, []).status == REJECT
    assert voting.process(height, [*items, items[0]]).status == REJECT
    assert voting.process(height, [items[0] + b"\x00"]).status == REJECT
    assert voting.process(height, [MARKER]).status == REJECT
    assert voting.process(height, [MARKER + b"\xff"]).status == REJECT
    # Failing transactions are the mempool's business, not a reason to reject.
    assert voting.process(height, [items[0], b"garbage"]).status == ACCEPT


FORGERIES = {
    "other extension": lambda c: setattr(c.votes[0], "vote_extension", b"price 9"),
    "other round": lambda c: setattr(c, "round", 1),
    "vote dropped": lambda c: c.votes.pop(),
    "vote doubled": lambda c: c.votes[1].CopyFrom(c.votes[0]),
    "power": lambda c: setattr(c.votes[0].validator, "power", 100),
    "address": lambda c: setattr(c.votes[0].validator, "address", bytes(20)),
    "absent": lambda c: setattr(c.votes[0], "block_id_flag", 1),
    "signature": lambda c: setattr(c.votes[0], "extension_signature", bytes(64)),
    "no signature": lambda c: c.votes[0].ClearField("extension_signature"),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_forged_commit_is_rejected(voting: TestChain, forge: Any) -> None:
    commit = abci.ExtendedCommitInfo()
    commit.CopyFrom(voting.last_commit)
    forge(commit)
    item = encode_injected_commit(commit)
    assert voting.process(voting.height + 1, [item]).status == REJECT


def test_forged_power_is_rejected_even_when_the_header_agrees(voting: TestChain) -> None:
    voting.last_commit.votes[0].validator.power = 1_000
    item = encode_injected_commit(voting.last_commit)
    assert voting.process(voting.height + 1, [item]).status == REJECT


def test_too_little_power_is_rejected(voting: TestChain) -> None:
    voting.last_commit = voting.vote(voting.height, [2, 3])
    item = encode_injected_commit(voting.last_commit)
    assert voting.process(voting.height + 1, [item]).status == REJECT
    voting.last_commit = voting.vote(voting.height, [3])
    item = encode_injected_commit(voting.last_commit)
    assert voting.process(voting.height + 1, [item]).status == ACCEPT


def test_injected_commit_is_no_mempool_transaction(voting: TestChain) -> None:
    item = encode_injected_commit(voting.last_commit)
    assert voting.check(item).code == 2
    proposed = list(voting.propose(voting.height + 1, [item]).txs)
    assert len(proposed) == 1


def test_verify_vote_extension_judges_form_alone(voting: TestChain) -> None:
    status = abci.ResponseVerifyVoteExtension
    for extension, expected in (
        (b"", status.ACCEPT),
        (b"price 1", status.ACCEPT),
        (b"price " + b"9" * 1_000_000, status.REJECT),
        (b"\xff\xfe", status.REJECT),
    ):
        request = abci.RequestVerifyVoteExtension(height=2, vote_extension=extension)
        assert voting.app.verify_vote_extension(request).status == expected


def test_failing_feed_gives_an_empty_extension() -> None:
    class Broken(EchoRules):
        def extend_vote(self, _ctx: Context) -> bytes:
            raise OSError("feed is down")

        def is_acceptable(self, _ctx: Context, _extension: bytes) -> bool:
            raise ValueError

        def process_votes(self, _ctx: Context, _votes: list[Vote]) -> None:
            raise IndexError

    chain = TestChain(
        with_module(BASE, Module(name="echo", vote_extensions=Broken())), vote_extensions=True
    )
    chain.next_block()
    chain.next_block()
    assert chain.height == 2
    assert chain.extend(3, 0) == b""
    request = abci.RequestVerifyVoteExtension(height=2, vote_extension=b"x")
    verdict = chain.app.verify_vote_extension(request)
    assert verdict.status == abci.ResponseVerifyVoteExtension.REJECT


def test_block_limits_in_prepare_proposal() -> None:
    chain = TestChain(BASE, max_gas=2_500_000)
    chain.next_block()
    raws = [chain.draft([send_msg(chain)], sequences=[n]).build() for n in range(4)]
    assert list(chain.propose(2, raws).txs) == raws[:2]  # A million gas each.
    request = abci.RequestPrepareProposal(height=2, txs=raws, max_tx_bytes=len(raws[0]) + 2)
    assert list(chain.app.prepare_proposal(request).txs) == []
    request.max_tx_bytes = len(raws[0]) + 3  # Tag and two bytes of length.
    assert list(chain.app.prepare_proposal(request).txs) == raws[:1]


# Queries.


@pytest.fixture(scope="module")
def quiet() -> TestChain:
    chain = TestChain(BASE)
    chain.next_block()
    chain.next_block()
    return chain


@pytest.mark.parametrize("path", ["store/bank/key", "/store/bank/key"])
def test_store_query_with_proof(quiet: TestChain, path: str) -> None:
    key = b"s" + DENOM.encode()
    response = quiet.app.query(abci.RequestQuery(path=path, data=key, prove=True))
    assert (response.code, response.height, response.value) == (0, 2, b"%d" % (2 * 10**12))
    assert [op.type for op in response.proof_ops.ops] == ["ics23:iavl", "ics23:simple"]
    assert [op.key for op in response.proof_ops.ops] == [key, b"bank"]
    for op in response.proof_ops.ops:
        assert proofs_pb2.CommitmentProof.FromString(op.data).HasField("exist")
    absent = quiet.app.query(abci.RequestQuery(path=path, data=b"sx", prove=True))
    assert (absent.code, absent.value) == (0, b"")
    proof = proofs_pb2.CommitmentProof.FromString(absent.proof_ops.ops[0].data)
    assert proof.HasField("nonexist")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"path": "store/nosuch/key", "data": b"x"}, 6),
        ({"path": "store/bank/subspace", "data": b"x"}, 6),
        ({"path": "/nosuch.v1.Query/X"}, 6),
        ({"path": ""}, 6),
        ({"path": "store/bank/key"}, 18),
        ({"path": "store/bank/key", "data": b"x", "height": 99}, 26),
        ({"path": "store/bank/key", "data": b"x", "height": -1}, 26),
        ({"path": "/cosmos.bank.v1beta1.Query/Balance", "data": b"\xff"}, 18),
        ({"path": "/cosmos.bank.v1beta1.Query/Balance"}, 7),
    ],
)
def test_refused_queries(quiet: TestChain, fields: dict[str, Any], code: int) -> None:
    response = quiet.app.query(abci.RequestQuery(**fields))
    assert (response.codespace, response.code) == ("sdk", code), response.log
    assert response.height


def test_unknown_account_reads_as_clients_expect(quiet: TestChain) -> None:
    request = auth_query_pb2.QueryAccountRequest(address=quiet.account("nobody").address)
    response = quiet.app.query(
        abci.RequestQuery(
            path="/cosmos.auth.v1beta1.Query/Account", data=request.SerializeToString()
        )
    )
    assert (response.codespace, response.code) == ("sdk", 22)
    assert response.log.startswith("rpc error: code = NotFound desc = account margin1")


def test_query_at_an_older_height(quiet: TestChain) -> None:
    path = "/cosmos.bank.v1beta1.Query/Balance"
    request = bank_query_pb2.QueryBalanceRequest(
        address=quiet.accounts["alice"].address, denom=DENOM
    )
    before, height = quiet.balance("alice"), quiet.height
    quiet.must_send(send_msg(quiet))
    now = quiet.query(path, request, bank_query_pb2.QueryBalanceResponse)
    then = quiet.query(path, request, bank_query_pb2.QueryBalanceResponse, height)
    assert int(now.balance.amount) == before - 1005
    assert int(then.balance.amount) == before


def test_queries_are_bounded_and_cannot_write() -> None:
    chain = TestChain(BASE, options=NodeOptions(query_gas_limit=1_000))
    chain.next_block()
    request = bank_query_pb2.QueryTotalSupplyRequest()
    chain.query(
        "/cosmos.bank.v1beta1.Query/TotalSupply",
        request,
        bank_query_pb2.QueryTotalSupplyResponse,
    )
    tight = TestChain(BASE, options=NodeOptions(query_gas_limit=10))
    tight.next_block()
    with pytest.raises(ChainError, match="out of gas"):
        tight.app.run_query("/cosmos.bank.v1beta1.Query/TotalSupply", b"")


def test_simulate_by_abci_query(quiet: TestChain) -> None:
    raw = quiet.draft([send_msg(quiet)]).build()
    request = service_pb2.SimulateRequest(tx_bytes=raw).SerializeToString()
    path = "/cosmos.tx.v1beta1.Service/Simulate"
    response = quiet.app.query(abci.RequestQuery(path=path, data=request))
    assert response.code == 0
    assert service_pb2.SimulateResponse.FromString(response.value).gas_info.gas_used
    wrong = quiet.draft([send_msg(quiet)], sequences=[50]).build()
    request = service_pb2.SimulateRequest(tx_bytes=wrong).SerializeToString()
    response = quiet.app.query(abci.RequestQuery(path=path, data=request))
    assert response.code == 32


# Validators.


def test_evidence_takes_power_once() -> None:
    chain = TestChain(BASE, validators=3)
    chain.next_block()
    offender = chain.validator_address(1)
    evidence = abci.Misbehavior(type=1, height=1, total_voting_power=30)
    evidence.validator.address = offender
    evidence.validator.power = 10
    block = chain.next_block(misbehavior=[evidence])
    updates = block.response.validator_updates
    assert [(compute_validator_address(u.pub_key.ed25519), u.power) for u in updates] == [
        (offender, 0)
    ]
    again = chain.next_block(misbehavior=[evidence])
    assert not again.response.validator_updates
    ctx = chain.read_context()
    members = chain.definition.validators.get_set
    assert len(members(ctx, 3)) == 3
    assert len(members(ctx, 4)) == 2  # Two blocks after the update.


def test_commit_info_helper_drops_extensions(voting: TestChain) -> None:
    info = to_commit_info(voting.last_commit)
    assert [vote.block_id_flag for vote in info.votes] == [2, 2, 2, 2]
