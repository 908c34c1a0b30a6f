"""Light client updates: decode, convert and verify one header, adjacent and skipping.

Prints milliseconds of CPU (median and 95th percentile) for 4 and 150 validators of equal power, and
beside them what each part takes. Aim: 15 ms for an update with 150 validators.

    python benchmarks/bench_lightclient.py [--rounds 200]
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nacl.signing import SigningKey

from chain._pb.tendermint.types import types_pb2, validator_pb2
from chain.ibc.client.tendermint_wire import (
    signed_header_from_pb,
    signed_header_to_pb,
    validator_set_from_pb,
    validator_set_to_pb,
)
from chain.lightclient.ed25519 import verify_signature, verify_zip215
from chain.lightclient.encoding import compute_validators_hash
from chain.lightclient.types import TrustedState, UntrustedBlock
from chain.lightclient.verifier import Success, verify
from chain.units import NANOSECONDS
from tests.support.headers import OPTIONS, TestBlock, TestValidatorSet, build_block


def measure(work: Callable[[], object], rounds: int) -> str:
    """Median and 95th percentile of a call in milliseconds of CPU."""
    work()
    samples = []
    for _ in range(rounds):
        start = time.process_time_ns()
        work()
        samples.append((time.process_time_ns() - start) / 1e6)
    p95 = statistics.quantiles(samples, n=20)[-1]
    return f"{statistics.median(samples):8.3f} ms   p95 {p95:8.3f} ms"


def build_update(trusted: TestBlock, block: TestBlock) -> Callable[[], None]:
    """One update as an IBC client sees it: bytes in, verdict out."""
    header_bytes = signed_header_to_pb(block.signed_header).SerializeToString()
    set_bytes = validator_set_to_pb(block.validators.validators).SerializeToString()
    trusted_bytes = validator_set_to_pb(trusted.next_validators.validators).SerializeToString()
    header = trusted.header
    now_ns = block.header.time_ns + NANOSECONDS

    def update() -> None:
        signed_header = signed_header_from_pb(types_pb2.SignedHeader.FromString(header_bytes))
        validators = validator_set_from_pb(validator_pb2.ValidatorSet.FromString(set_bytes))
        known = validator_set_from_pb(validator_pb2.ValidatorSet.FromString(trusted_bytes))
        state = TrustedState(
            header.chain_id, header.height, header.time_ns, header.next_validators_hash, known
        )
        verdict = verify(state, UntrustedBlock(signed_header, validators), OPTIONS, now_ns)
        assert verdict == Success()

    return update


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    for count in (4, 150):
        validators = TestValidatorSet.create([100] * count)
        # A third of the power, spread over the set, has been replaced by the time we skip.
        kept = [(f"v{i}", 100) for i in range(count) if i % 3]
        rotated = TestValidatorSet.from_members(
            kept + [(f"new{i}", 100) for i in range(count - len(kept))]
        )
        trusted = build_block(10, validators)
        cases = {
            "adjacent": build_block(11, validators),
            "skipping, same set": build_block(1000, validators),
            "skipping, 1/3 replaced": build_block(1000, rotated),
        }
        for name, block in cases.items():
            figure = measure(build_update(trusted, block), rounds)
            print(f"update {count:>4} validators, {name:<24} {figure}")
        hashing = measure(lambda v=validators: compute_validators_hash(v.validators), rounds)
        print(f"  of it hashing {count} validators{'':<22} {hashing}")
    key = SigningKey(bytes(32))
    public_key, signature = bytes(key.verify_key), key.sign(b"message").signature
    fast = measure(lambda: verify_signature(public_key, b"message", signature), rounds)
    slow = measure(lambda: verify_zip215(public_key, b"message", signature), max(rounds // 10, 10))
    print(f"one signature, libsodium says yes{'':<18} {fast}")
    print(f"one signature, ZIP-215 in integers{'':<17} {slow}")


if __name__ == "__main__":
    main()
