"""What a signed bank transfer costs the application: CPU µs by stage, blocks of 1,000 in process.

Accounts are drawn uniformly (stated, since access decides what a cache is worth). Run:
`python -m benchmarks.bench_transfers_inprocess [--accounts 10000] [--blocks 5] [--profile]`.
"""

import argparse
import cProfile
import gc
import hashlib
import json
import pstats
import random
import time
from collections.abc import Callable
from typing import TypeVar

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_pb2
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.runtime.signatures import is_signature_valid
from chain.runtime.tx import compute_sign_bytes, decode_tx
from tests.support.testchain import DENOM, Account, TestChain, TxDraft

BLOCK_TXS = 1_000
T = TypeVar("T")


def timed(function: Callable[[], T]) -> tuple[float, T]:
    """CPU µs a transaction of a block's stage, and its result."""
    started = time.process_time()
    result = function()
    return (time.process_time() - started) * 1e6 / BLOCK_TXS, result


def build_chain(count: int) -> tuple[TestChain, list[Account]]:
    """A chain with funded accounts, their numbers filled in."""
    accounts = [Account.named(f"bench-{i}") for i in range(count)]
    coins = [{"denom": DENOM, "amount": str(10**12)}]
    balances = [{"address": account.address, "coins": coins} for account in accounts]
    chain = TestChain(app_state={"bank": {"balances": balances}}, accounts={})
    chain.next_block()
    ctx = chain.read_context()
    for account in accounts:
        stored = chain.definition.accounts.get_account(ctx, account.address)
        account.number = stored.account_number
    return chain, accounts


def build_block(chain: TestChain, accounts: list[Account], source: random.Random) -> list[bytes]:
    """Signed transfers between random accounts."""
    block = []
    for _ in range(BLOCK_TXS):
        sender, receiver = source.sample(accounts, 2)
        message = bank_pb2.MsgSend(
            from_address=sender.address,
            to_address=receiver.address,
            amount=[coin_pb2.Coin(denom=DENOM, amount="7")],
        )
        block.append(TxDraft([message], [sender], chain.chain_id, gas_limit=100_000).fill().build())
        sender.sequence += 1
    return block


def measure_block(chain: TestChain, block: list[bytes]) -> dict[str, float]:
    """Stages of one block, in µs a transaction."""
    codec = chain.app.router.codec
    figures: dict[str, float] = {}
    figures["decode"], decoded = timed(lambda: [decode_tx(codec, raw) for raw in block])
    key = Account.named("bench-0")
    sign_bytes = compute_sign_bytes(decoded[0].body_bytes, decoded[0].auth_info_bytes, "x", 1)
    signature, public_key = key.sign(sign_bytes), key.public_key
    figures["verify"], _ = timed(
        lambda: [is_signature_valid(public_key, sign_bytes, signature) for _ in block]
    )
    figures["check_tx"], codes = timed(lambda: [chain.check(raw).code for raw in block])
    assert not any(codes)
    height = chain.height + 1
    chain.time_ns += 10**9
    request = abci.RequestFinalizeBlock(height=height, txs=block)
    request.time.FromNanoseconds(chain.time_ns)
    store, seconds = chain.store, [0.0]
    stage = store.stage

    def timed_stage(*arguments: object) -> bytes:
        seconds[0], app_hash = timed(lambda: stage(*arguments))
        return app_hash

    store.stage = timed_stage
    whole, response = timed(lambda: chain.app.finalize_block(request))
    del store.stage
    assert not any(result.code for result in response.tx_results)
    figures["execute"] = whole - seconds[0]
    figures["encode"], _ = timed(response.SerializeToString)
    figures["stage"] = seconds[0]
    figures["commit"], _ = timed(lambda: chain.app.commit(abci.RequestCommit()))
    figures["total"] = sum(figures[k] for k in ("check_tx", "execute", "encode", "stage", "commit"))
    return figures


def main() -> None:
    """Print the median figure of each stage as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    chain, accounts = build_chain(arguments.accounts)
    gc.collect()
    gc.freeze()
    source = random.Random(hashlib.sha256(b"bench").digest())
    rows = []
    profile = cProfile.Profile()
    for index in range(arguments.blocks + 1):
        block = build_block(chain, accounts, source)
        if arguments.profile and index:
            profile.enable()
        row = measure_block(chain, block)
        profile.disable()
        if index:  # The first block warms caches.
            rows.append(row)
    medians = {
        stage: round(sorted(row[stage] for row in rows)[len(rows) // 2], 1) for stage in rows[0]
    }
    print(
        json.dumps(
            {
                "accounts": arguments.accounts,
                "access": "uniform",
                "block_txs": BLOCK_TXS,
                "cpu_us_per_tx": medians,
            }
        )
    )
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
