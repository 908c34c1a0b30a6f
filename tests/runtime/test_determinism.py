"""The same blocks in processes with different hash seeds: same app hashes, results, events."""

import os
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from chain._pb.cosmos.bank.v1beta1 import bank_pb2, tx_pb2
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.margin.council.v1 import council_pb2
from chain._pb.margin.validators.v1 import validators_pb2
from chain.modules.council import authority_address
from chain.runtime.router import pack
from tests.support.testchain import DENOM, Account, TestChain

NAMES = [f"user{i}" for i in range(8)]
DENOMS = [DENOM, "uusd", "aeth"]
BLOCKS = 25


def build_message(chain: TestChain, source: random.Random, sender: str) -> object:
    address = chain.account(sender).address
    receivers = source.sample(NAMES, 2)
    coins = [coin_pb2.Coin(denom=d, amount=str(source.choice([1, 50, 10**6]))) for d in ["aeth"]]
    kind = source.randrange(4)
    if kind == 0:
        return council_pb2.MsgSubmitProposal(
            proposer=address,
            messages=[
                pack(
                    validators_pb2.MsgUpdateValidator(
                        authority=authority_address(),
                        consensus_pubkey=sha256(b"%d" % source.randrange(5)).digest(),
                        power=source.randrange(20),
                    )
                )
            ],
        )
    if kind == 1:
        return council_pb2.MsgExecute(executor=address, proposal_id=source.randrange(1, 20))
    if kind == 2:
        return tx_pb2.MsgMultiSend(
            inputs=[
                bank_pb2.Input(
                    address=address,
                    coins=[coin_pb2.Coin(denom="aeth", amount=str(2 * int(coins[0].amount)))],
                )
            ],
            outputs=[
                bank_pb2.Output(address=chain.account(name).address, coins=coins)
                for name in receivers
            ],
        )
    return tx_pb2.MsgSend(
        from_address=address, to_address=chain.account(receivers[0]).address, amount=coins
    )


def play() -> str:
    """A digest over every answer of FinalizeBlock and the export of a random history."""
    source = random.Random(7)
    balances = dict.fromkeys(DENOMS, 10**9)
    params = {
        "members": [Account.named(name).address for name in NAMES],
        "threshold": 1,
        "voting_period_ns": "9000000000",
    }
    chain = TestChain(
        accounts=dict.fromkeys(NAMES, balances), app_state={"council": {"params": params}}
    )
    digest = sha256(chain.init_response.SerializeToString(deterministic=True))
    chain.next_block()
    for _ in range(BLOCKS):
        senders = source.sample(NAMES, 4)
        raws = [chain.draft([build_message(chain, source, s)], s).build() for s in senders]
        raws += [raws[0], b"garbage"]
        for raw in raws[:2]:
            chain.check(raw)
        response = chain.next_block(raws).response
        digest.update(response.SerializeToString(deterministic=True))
    digest.update(chain.app.export_genesis())
    codes = {result.code for block in chain.blocks for result in block.results}
    assert {0, 2, 32} <= codes, codes
    return digest.hexdigest()


def test_hash_seeds_do_not_matter() -> None:
    digests = []
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.runtime.test_determinism"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        digests.append(done.stdout.strip())
    assert len(digests[0]) == 64
    assert digests == [digests[0]] * 3
    assert play() == digests[0]


if __name__ == "__main__":
    sys.stdout.write(play() + "\n")
