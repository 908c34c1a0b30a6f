"""Random and spoiled input to every handler, query, packet and ABCI call: refused or taken.

An unexpected exception would be the fixed refusal "internal error" in a transaction, and would stop
the node anywhere else; either fails these tests.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from random import Random
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import hub, spoke
from chain._pb.margin.insurance.v1 import query_pb2 as insurance_query
from chain._pb.margin.liquidation.v1 import query_pb2 as liquidation_query
from chain._pb.margin.packet.v1 import packet_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.errors import ChainError
from chain.ibc.apps.margin import decode_acknowledgement, decode_packet
from chain.ibc.height import Height
from chain.ibc.router import Packet
from chain.modules.council.types import authority_address
from chain.node.storage import open_commit_store
from chain.runtime.application import Application
from chain.runtime.context import Context
from chain.runtime.gas import GasMeter
from chain.runtime.vote_extensions import MARKER, encode_injected_commit
from tests.adversarial.generate import Generator
from tests.adversarial.seeds import build_seeds
from tests.adversarial.world import TRADERS, World, assert_alive, build_world, play_story
from tests.support.testchain import Account, to_commit_info
from tests.twochain.chain import IbcChain

SEEDS = st.integers(0, 2**64 - 1)
GAS_LIMIT = 20_000_000


@cache
def prepare() -> World:
    return play_story(build_world())


def get_chains() -> tuple[IbcChain, IbcChain]:
    return prepare().hub, prepare().spoke


@cache
def get_generator(chain_id: str) -> Generator:
    world = prepare()
    (chain,) = [c for c in get_chains() if c.chain_id == chain_id]
    names = [*(world.address(n) for n in TRADERS), authority_address()]
    return Generator(chain.app.router, [*names, str(Account.named("zed").address)])


@cache
def get_examples(chain_id: str) -> dict[type[Message], list[Message]]:
    """Good messages of each type: seeds, and all that the chain has executed."""
    (chain,) = [c for c in get_chains() if c.chain_id == chain_id]
    found: dict[type[Message], list[Message]] = {}
    for message in build_seeds(prepare(), chain):
        found.setdefault(type(message), []).append(message)
    for block in chain.blocks:
        for raw in block.txs:
            for step in chain.app._prepare(raw).steps:
                message = step[1]
                found.setdefault(type(message), []).append(message)
    return found


def assert_registered(error: ChainError) -> None:
    """A refusal has a code of its own and words; 1 is the code of an unexpected exception."""
    assert error.code > 1
    assert error.codespace
    assert error.detail, repr(error)


def build_context(chain: IbcChain) -> Context:
    ctx = chain.read_context()
    ctx.router = chain.app.router
    ctx.gas = GasMeter(GAS_LIMIT)
    return ctx


def run_hooks(chain: IbcChain, ctx: Context, seconds: int) -> None:
    """The hooks of a later block over what a message left; no item may fail unexpectedly."""
    later = Context(
        chain_id=ctx.chain_id,
        height=ctx.height + 1,
        time_ns=ctx.time_ns + seconds * 10**9,
        store=ctx.store.branch(),
        router=chain.app.router,
    )
    for module in chain.definition.modules:
        for hook in (module.begin_block, module.end_block):
            if hook is not None:
                hook(later)
    for event in later.events:
        values = dict(event.attributes)
        assert (values.get("codespace"), values.get("code")) != ("sdk", "1"), event


ROUTES = [
    (index, url) for index in (0, 1) for url in sorted(get_chains()[index].app.router.messages)
]


@pytest.mark.parametrize(("index", "url"), ROUTES, ids=[f"{i}{u}" for i, u in ROUTES])
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_every_message(index: int, url: str, seed: int) -> None:
    chain, source = get_chains()[index], Random(seed)
    route = chain.app.router.messages[url]
    generator = get_generator(chain.chain_id)
    examples = get_examples(chain.chain_id).get(route.request)
    if examples and source.random() < 0.6:
        message = generator.spoil(source, source.choice(examples))
    else:
        message = generator.draw(source, route.request)
        if route.signer_field == "authority":
            message.authority = authority_address()
    try:
        chain.app.router.codec.decode(route.request, message.SerializeToString(deterministic=True))
        ctx = build_context(chain)
        with ctx.branch() as branch:
            route.handler(branch, message)
    except ChainError as error:
        assert_registered(error)
        return
    for seconds in (1, 86_400):
        run_hooks(chain, ctx, seconds)


@pytest.mark.parametrize("index", [0, 1], ids=["hub", "spoke"])
@settings(max_examples=80, deadline=None)
@given(seed=SEEDS)
def test_every_query(index: int, seed: int) -> None:
    chain, source = get_chains()[index], Random(seed)
    queries = chain.app.router.queries
    path = source.choice(sorted(queries))
    request = get_generator(chain.chain_id).draw(source, queries[path].request)
    data = request.SerializeToString(deterministic=True)
    if source.random() < 0.1:
        data = source.randbytes(source.randrange(60))
    height = source.choice((0, 0, 0, 1, chain.height, chain.height + 1, -1, 2**63 - 1, -(2**63)))
    response = chain.app.query(
        abci.RequestQuery(path=path, data=data, height=height, prove=source.random() < 0.2)
    )
    assert not chain.app.errors.by_place, (path, request, chain.app.errors.by_place)
    assert response.code == 0 or (response.codespace and response.code > 1 and response.log)


def test_pages_after_the_last_number_are_empty() -> None:
    hub = get_chains()[0]
    last = 2**64 - 1
    for path, request in (
        (
            "liquidation.v1.Query/History",
            liquidation_query.QueryHistoryRequest(
                owner=prepare().address("dave"), start_after=last
            ),
        ),
        (
            "liquidation.v1.Query/Auctions",
            liquidation_query.QueryAuctionsRequest(start_after=last),
        ),
        ("insurance.v1.Query/Ledger", insurance_query.QueryLedgerRequest(start_after=last)),
    ):
        data = request.SerializeToString()
        response = hub.app.query(abci.RequestQuery(path=f"/margin.{path}", data=data))
        assert (response.code, response.value) == (0, b""), (path, response)


@pytest.mark.parametrize("index", [0, 1], ids=["hub", "spoke"])
@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_every_packet_acknowledgement_and_timeout(index: int, seed: int) -> None:
    """Straight into the application, as if the proof had held: a hostile counterparty chain."""
    chain, source = get_chains()[index], Random(seed)
    generator = get_generator(chain.chain_id)
    flights = [p.data for p in prepare().flights.values()]
    if source.random() < 0.5:
        original = packet_pb2.MarginPacket.FromString(source.choice(flights))
        body = generator.spoil(source, original)
    else:
        body = generator.draw(source, packet_pb2.MarginPacket)
        body.sender_time_ns = chain.time_ns - 10**9
    data = body.SerializeToString(deterministic=True)
    if source.random() < 0.1:
        data = source.randbytes(source.randrange(80))
    packet = Packet(
        sequence=source.choice((1, 2, 3, 99)),
        source_port="margin",
        source_channel=source.choice(("channel-0", "channel-1")),
        destination_port="margin",
        destination_channel=source.choice(("channel-0", "channel-0", "channel-1")),
        data=data,
        timeout_height=Height(0, 0),
        timeout_timestamp_ns=2**63,
    )
    application = _get_application(index)
    relayer = prepare().address("alice")
    answer = generator.draw(source, packet_pb2.MarginAcknowledgement)
    ctx = build_context(chain)
    for step in (
        lambda branch: application.on_recv_packet(branch, packet, relayer),
        lambda branch: application.on_acknowledgement_packet(
            branch, packet, answer.SerializeToString(deterministic=True), relayer
        ),
        lambda branch: application.on_timeout_packet(branch, packet, relayer),
    ):
        try:
            with ctx.branch() as branch:
                step(branch)
        except ChainError as error:
            assert_registered(error)
            assert len(application.error_acknowledgement(error)) < 100  # noqa: PT017
    run_hooks(chain, ctx, 1)


def _get_application(index: int) -> Any:
    return (hub.MARGIN, spoke.MARGIN)[index]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_decoders(data: bytes) -> None:
    for decode in (decode_packet, decode_acknowledgement):
        with suppress(ChainError):
            assert decode(data).SerializeToString(deterministic=True) == data


# ABCI


def draw_items(source: Random, chain: IbcChain) -> list[bytes]:
    """A block nobody honest proposes."""
    commit = abci.ExtendedCommitInfo()
    commit.CopyFrom(chain.last_commit)
    commit = get_generator(chain.chain_id).spoil(source, commit)
    good = encode_injected_commit(chain.last_commit)
    kinds = [
        good,
        good,
        encode_injected_commit(commit),
        encode_injected_commit(get_generator(chain.chain_id).draw(source, type(commit))),
        good[: source.randrange(len(good))],
        good + b"\x00",
        MARKER,
        MARKER + source.randbytes(40),
        b"",
        source.randbytes(source.randrange(1, 200)),
        bytes((1 << 20) + 1),
        chain.blocks[-1].txs[0] if chain.blocks[-1].txs else b"\x0a",
    ]
    return [source.choice(kinds) for _ in range(source.randrange(5))]


def draw_request(source: Random, chain: IbcChain, request_type: type[Any]) -> Any:
    """A request of the drawn type whose height can come next in half of the cases."""
    request = get_generator(chain.chain_id).draw(source, request_type)
    if source.random() < 0.5 and hasattr(request, "height"):
        request.height = chain.height + 1
    return request


@pytest.mark.parametrize("index", [0, 1], ids=["hub", "spoke"])
@settings(max_examples=80, deadline=None)
@given(seed=SEEDS)
def test_hostile_proposals(index: int, seed: int) -> None:
    """Any block is accepted or rejected; a block decided all the same executes the same twice."""
    chain, source = get_chains()[index], Random(seed)
    items = draw_items(source, chain)
    proposal = abci.RequestProcessProposal(
        height=chain.height + 1,
        txs=items,
        proposed_last_commit=to_commit_info(chain.last_commit),
        proposer_address=chain.validator_address(0),
    )
    proposal.time.FromNanoseconds(chain.time_ns + 10**9)
    status = chain.app.process_proposal(proposal).status
    good = encode_injected_commit(chain.last_commit)
    is_valid = all(len(item) <= 1 << 20 for item in items)
    if chain.vote_extensions:
        is_valid = is_valid and items[:1] == [good]
        items_after = items[1:]
    else:
        items_after = items
    is_valid = is_valid and not any(item.startswith(MARKER) for item in items_after)
    expected = (
        abci.ResponseProcessProposal.ACCEPT if is_valid else abci.ResponseProcessProposal.REJECT
    )
    assert status == expected, [item[:80] for item in items]
    block = abci.RequestFinalizeBlock(
        height=chain.height + 1,
        txs=items,
        decided_last_commit=to_commit_info(chain.last_commit),
        proposer_address=chain.validator_address(0),
    )
    block.time.CopyFrom(proposal.time)
    first = chain.app.finalize_block(block).SerializeToString(deterministic=True)
    assert chain.app.finalize_block(block).SerializeToString(deterministic=True) == first
    assert not chain.app.errors.by_place, chain.app.errors.by_place


@pytest.mark.parametrize("index", [0, 1], ids=["hub", "spoke"])
@settings(max_examples=80, deadline=None)
@given(seed=SEEDS)
def test_every_other_call(index: int, seed: int) -> None:
    """Requests drawn field by field; the calls that only a broken CometBFT sends are left out."""
    chain, source = get_chains()[index], Random(seed)
    app = chain.app
    calls = (
        (app.info, abci.RequestInfo),
        (app.check_tx, abci.RequestCheckTx),
        (app.query, abci.RequestQuery),
        (app.prepare_proposal, abci.RequestPrepareProposal),
        (app.process_proposal, abci.RequestProcessProposal),
        (app.extend_vote, abci.RequestExtendVote),
        (app.verify_vote_extension, abci.RequestVerifyVoteExtension),
        (app.list_snapshots, abci.RequestListSnapshots),
        (app.load_snapshot_chunk, abci.RequestLoadSnapshotChunk),
    )
    call, request_type = source.choice(calls)
    response = call(draw_request(source, chain, request_type))
    assert response.ByteSize() >= 0
    assert not app.errors.by_place, app.errors.by_place


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_snapshots_of_hostile_peers(seed: int) -> None:
    """Offers and chunks nobody honest serves leave an empty node empty and able to start."""
    hub, source = get_chains()[0], Random(seed)
    store = open_commit_store(None, hub.definition.store_names)
    app = Application(hub.definition, store)
    generator = get_generator(hub.chain_id)
    for _ in range(3):
        offer = generator.draw(source, abci.RequestOfferSnapshot)
        app.offer_snapshot(offer)
        app.apply_snapshot_chunk(generator.draw(source, abci.RequestApplySnapshotChunk))
    assert app.info(abci.RequestInfo()).last_block_height == 0
    app.init_chain(
        abci.RequestInitChain(
            chain_id="hub-1",
            initial_height=1,
            app_state_bytes=json.dumps(hub.app_state).encode(),
            consensus_params=hub.params,
        )
    )


# Genesis


@cache
def get_export(index: int) -> str:
    return get_chains()[index].app.export_genesis().decode()


def assert_refused_or_alive(chain: IbcChain, state: Any) -> None:
    """An app_state is refused by a registered error, or its chain makes blocks and exports."""
    store = open_commit_store(None, chain.definition.store_names)
    app = Application(chain.definition, store)
    request = abci.RequestInitChain(
        chain_id=chain.chain_id,
        initial_height=chain.height + 1,
        app_state_bytes=json.dumps(state).encode(),
        consensus_params=chain.params,
    )
    request.time.FromNanoseconds(chain.time_ns)
    try:
        app.init_chain(request)
    except ChainError as error:
        assert_registered(error)
        return
    block = abci.RequestFinalizeBlock(height=chain.height + 1)
    block.time.FromNanoseconds(chain.time_ns + 10**9)
    app.finalize_block(block)
    app.commit(abci.RequestCommit())
    assert not app.errors.by_place, app.errors.by_place
    app.export_genesis()


def spoil_json(source: Random, document: Any) -> None:
    """Change one place inside: drop it, double it, or put something else there."""
    place = document
    while True:
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = source.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and source.random() < 0.9:
            place = place[key]
            continue
        kind = source.randrange(4)
        if kind == 0:
            del place[key]
        elif kind == 1 and isinstance(place, list):
            place.append(place[key])
        else:
            values = (
                "",
                "0",
                "-1",
                "x",
                5,
                -5,
                None,
                [],
                {},
                True,
                1.5,
                "9" * 80,
                str(2**255),
                [1],
            )
            place[key] = source.choice(values)
        break


@pytest.mark.parametrize("index", [0, 1], ids=["hub", "spoke"])
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_spoiled_genesis(index: int, seed: int) -> None:
    """Refused by a registered error, or a chain that lives and exports what it can read again."""
    chain, source = get_chains()[index], Random(seed)
    document = json.loads(get_export(index))
    state = document["app_state"]
    spoil_json(source, state)
    assert_refused_or_alive(chain, state)


def _list_places(document: Any) -> Iterator[tuple[str | int, ...]]:
    """The path of everything within a document: the first element of a list stands for all."""
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while stack:
        path, node = stack.pop()
        if path:
            yield path
        if isinstance(node, dict):
            stack += [((*path, key), below) for key, below in node.items()]
        elif isinstance(node, list) and node:
            stack.append(((*path, 0), node[0]))


@pytest.mark.parametrize("spoil", ["left out", "emptied", "zero", "negative"])
@pytest.mark.parametrize("index", [0, 1], ids=["hub", "spoke"])
def test_every_place_of_a_genesis_spoiled_alone(index: int, spoil: str) -> None:
    chain = get_chains()[index]
    state = json.loads(get_export(index))["app_state"]
    for path in list(_list_places(state)):
        holder = state
        for step in path[:-1]:
            holder = holder[step]
        was = holder[path[-1]]
        texts = {"emptied": "", "zero": "0", "negative": "-1"}
        if spoil == "left out" and isinstance(holder, dict) and not isinstance(was, str):
            rest = {key: value for key, value in holder.items() if key != path[-1]}
            holder.clear()
            holder.update(rest)
        elif isinstance(was, str) and spoil in texts:
            holder[path[-1]] = texts[spoil]
        elif spoil == "emptied":
            holder[path[-1]] = type(was)()
        else:
            continue
        assert_refused_or_alive(chain, state)
        holder[path[-1]] = was


def test_the_chains_still_live() -> None:
    for chain in get_chains():
        assert_alive(chain)
