"""The story while processes are killed, and a chain whose validators stop.

The seed of the kills is printed; MARGIN_FAULTS_SEED repeats a run.
"""

import os
import random
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from chain._pb.margin.collateral.v1 import query_pb2 as collateral_query
from chain.client.amount import Amount
from chain.client.errors import NotFound, QueryRefused
from localnet.actors import ACTORS
from localnet.demo.narration import Narrator
from localnet.demo.run import play_story
from localnet.demo.story import StorySettings

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.localnet(validators={"hub-1": 4, "alpha-1": 2, "beta-1": 2}, timeout_commit_ms=700),
]

KILLS = 10
PAUSE_S = (4, 12)
STANDSTILL_S = 4


class Killer:
    """Kills one process at a time at random moments; supervision brings it back."""

    def __init__(self, localnet, seed):
        self.killed = []
        self._localnet = localnet
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        names = sorted(self._localnet.nodes)
        victims = [(name, part) for name in names for part in ("app", "cometbft")]
        victims += [("relayer", "process")] * 4
        while len(self.killed) < KILLS and not self._stop.wait(self._random.uniform(*PAUSE_S)):
            name, part = self._random.choice(victims)
            if name == "relayer":
                self._localnet.relayer.kill()
            else:
                self._localnet.kill(name, part)
            self.killed.append(f"{name} {part}")


def test_the_story_holds_while_processes_are_killed(localnet, tmp_path, capsys):
    seed = int(os.environ.get("MARGIN_FAULTS_SEED") or random.SystemRandom().randrange(2**32))
    with capsys.disabled():
        print(f"\nseed of the kills: MARGIN_FAULTS_SEED={seed}")
    # A hub that stands still for seconds finds the price far below: states may be passed over.
    settings = StorySettings(
        credit_timeout_s=180, settle_timeout_s=300, expected_states=("liquidate",)
    )
    with Path(tmp_path / "narration.txt").open("w") as log:
        narrator = Narrator(Console(file=log, width=160))
        with Killer(localnet, seed) as killer:
            report = play_story(localnet.localnet, narrator, settings)
    with capsys.disabled():
        print(f"killed: {', '.join(killer.killed)}")
    assert len(killer.killed) == KILLS
    assert [check for check in report["checks"] if not check["holds"]] == []


def test_one_of_four_stopped_the_chain_goes_on(chain):
    chain.nodes[3].stop()
    try:
        chain.wait_blocks(6)
    finally:
        chain.nodes[3].restart()
    chain.wait_blocks(3)


def test_two_of_four_stopped_the_chain_stands_until_they_are_back(chain):
    for node in chain.nodes[2:]:
        node.stop()
    try:
        time.sleep(2)
        height = chain.height
        time.sleep(STANDSTILL_S)
        assert chain.height == height
    finally:
        for node in chain.nodes[2:]:
            node.restart()
    reached = chain.wait_blocks(3)
    hashes = {chain.get_app_hash(node, reached) for node in chain.nodes}
    assert len(hashes) == 1


def test_packets_wait_while_the_relayer_is_frozen(localnet, chain, relayer):
    faucet = ACTORS["faucet"].wallet

    def get_liens():
        request = collateral_query.QueryLiensRequest(owner=faucet.address)
        try:
            answer = chain.query(
                "/margin.collateral.v1.Query/Liens", request, collateral_query.QueryLiensResponse
            )
        except (NotFound, QueryRefused):
            return []  # The account opens with its first lien.
        return [lien.amount for lien in answer.liens]

    with relayer.partition():
        with localnet.chains["beta-1"].client() as beta:
            beta.lock_collateral(faucet, Amount.parse("7 USDC")).wait()
        chain.wait_blocks(5)
        assert get_liens() == []
    chain.wait_for(lambda _: get_liens() == ["7000000"])
