"""Whole histories: equal in every process, over exports and snapshots; hooks at extremes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chain._pb.tendermint.abci import types_pb2 as abci
from chain.node.storage import LevelCommitStore, open_commit_store
from chain.runtime.application import Application
from chain.units import WAD
from tests.adversarial.simulation import Simulation
from tests.adversarial.world import World, assert_alive
from tests.twochain.chain import IbcChain

HASH_SEEDS = ("0", "1", "4242", "999999")
ROUNDS = 6


def test_four_processes_agree() -> None:
    """Trades, packets, liquidations, decisions and broken messages, under four hash seeds."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.adversarial.simulation", "7", str(ROUNDS)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).resolve().parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in HASH_SEEDS
    ]
    digests = [process.communicate()[0].strip() for process in running]
    assert [process.returncode for process in running] == [0] * len(HASH_SEEDS)
    assert len(digests[0]) == 64
    assert digests == digests[:1] * len(HASH_SEEDS)


def test_a_random_life_keeps_every_identity() -> None:
    simulation = Simulation(11)
    simulation.run(12)
    codespaces = {codespace for codespace, _ in simulation.codes}
    assert {"", "relayed", "accounts", "sdk"} <= codespaces


def restart(chain: IbcChain, document: bytes) -> Application:
    """A new chain from an export; its genesis state is not yet committed."""
    genesis = json.loads(document)
    app = Application(chain.definition, open_commit_store(None, chain.definition.store_names))
    request = abci.RequestInitChain(
        chain_id=chain.chain_id,
        initial_height=chain.height + 1,
        app_state_bytes=json.dumps(genesis["app_state"]).encode(),
        consensus_params=chain.params,
    )
    request.time.FromNanoseconds(chain.time_ns)
    app.init_chain(request)
    return app


@pytest.mark.parametrize("name", ["hub", "spoke"])
def test_export_import_export_is_identical(world: World, name: str) -> None:
    chain: IbcChain = getattr(world, name)
    first = chain.app.export_genesis()
    state = json.loads(first)["app_state"]
    assert state["ibc"]["channel_genesis"]["commitments"]
    restored = restart(chain, first)
    again = export_before_a_block(restored, chain)
    assert json.loads(again)["app_state"] == state
    assert again == export_before_a_block(restart(chain, again), chain)


def export_before_a_block(app: Application, chain: IbcChain) -> bytes:
    """The genesis state of a restarted chain as its own export would show it."""
    from chain.runtime.genesis import build_genesis_document, encode_genesis  # noqa: PLC0415

    del chain
    ctx = app._check_ctx
    ctx.gas.limit = None
    return encode_genesis(build_genesis_document(ctx, app.definition))


@pytest.mark.parametrize("name", ["hub", "spoke"])
def test_snapshot_restores_the_same_app_hash(world: World, name: str) -> None:
    chain: IbcChain = getattr(world, name)
    source = chain.store
    assert isinstance(source, LevelCommitStore)
    thread = source.take_snapshot()
    assert thread is not None
    thread.join()
    (snapshot,) = chain.app.list_snapshots(abci.RequestListSnapshots()).snapshots[:1]
    store = open_commit_store(None, chain.definition.store_names)
    app = Application(chain.definition, store)
    offer = abci.RequestOfferSnapshot(snapshot=snapshot, app_hash=source.app_hash)
    assert app.offer_snapshot(offer).result == abci.ResponseOfferSnapshot.ACCEPT
    for index in range(snapshot.chunks):
        chunk = chain.app.load_snapshot_chunk(
            abci.RequestLoadSnapshotChunk(
                height=snapshot.height, format=snapshot.format, chunk=index
            )
        ).chunk
        broken = abci.RequestApplySnapshotChunk(index=index, chunk=chunk[:-1] + b"!", sender="liar")
        refused = app.apply_snapshot_chunk(broken)
        assert refused.result != abci.ResponseApplySnapshotChunk.ACCEPT
        if refused.result == abci.ResponseApplySnapshotChunk.REJECT_SNAPSHOT:
            assert app.offer_snapshot(offer).result == abci.ResponseOfferSnapshot.ACCEPT
        applied = app.apply_snapshot_chunk(
            abci.RequestApplySnapshotChunk(index=index, chunk=chunk, sender="friend")
        )
        assert applied.result == abci.ResponseApplySnapshotChunk.ACCEPT
    info = app.info(abci.RequestInfo())
    assert (info.last_block_height, info.last_block_app_hash) == (chain.height, source.app_hash)
    assert app.export_genesis() == chain.app.export_genesis()


@pytest.mark.parametrize("price", [1, 10**9, WAD // 100, 10**30, 10**40, 2**255, None])
def test_no_price_stops_the_hooks(moving: World, price: int | None) -> None:
    """One atom of a dollar, a number beyond all bounds, or silence, with an auction under way."""
    if price is None:
        moving.feed.prices.clear()
    else:
        moving.feed.prices["ETH"] = price
    for _ in range(4):
        block = moving.hub.next_block()
        assert not [e for e in block.response.events if e.type == "hook_failed"]
        for event in block.response.events:
            values = {a.key: a.value for a in event.attributes}
            assert (values.get("codespace"), values.get("code")) != ("sdk", "1"), event
    assert not moving.hub.app.errors.by_place
    assert_alive(moving.hub)
