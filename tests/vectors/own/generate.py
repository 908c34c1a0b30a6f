"""Writes this folder's vectors, in the formats of the official files, so that a clean clone tests.

`python -m tests.vectors.own.generate`. Headers are signed by test keys, verdicts are stated by hand
from the light client specification, hashes and sign bytes come from the generated classes and
not from the encoder under test; the families that read these files also agree with CometBFT's own.
"""

import base64
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue

from chain._pb.tendermint.types import canonical_pb2, types_pb2, validator_pb2
from chain.ibc.client.tendermint_wire import header_to_pb, time_ns_to_pb, validator_to_pb
from chain.lightclient.types import Header, SignedHeader, Validator, ValidatorSet
from chain.merkle.simple import compute_root
from chain.units import NANOSECONDS
from tests.support.headers import (
    OPTIONS,
    TestBlock,
    TestValidatorSet,
    build_block,
    build_header,
    get_signing_key,
)

FOLDER = Path(__file__).resolve().parent / "generated"
Json = dict[str, Any]


def write_time(time_ns: int) -> str:
    """RFC 3339 with nanoseconds, as CometBFT's RPC has it."""
    return time_ns_to_pb(time_ns).ToJsonString()


def write_header(header: Header) -> Json:
    """The JSON of a header."""
    block_id = header.last_block_id
    parts = block_id.part_set_header
    raw: Json = {
        "version": {"block": str(header.version_block)},
        "chain_id": header.chain_id,
        "height": str(header.height),
        "time": write_time(header.time_ns),
        "last_block_id": {
            "hash": block_id.hash.hex().upper(),
            "parts": {"total": parts.total, "hash": parts.hash.hex().upper()},
        },
    }
    for name in (
        "last_commit_hash",
        "data_hash",
        "validators_hash",
        "next_validators_hash",
        "consensus_hash",
        "app_hash",
        "last_results_hash",
        "evidence_hash",
        "proposer_address",
    ):
        raw[name] = getattr(header, name).hex().upper()
    return raw


def write_signed_header(signed_header: SignedHeader) -> Json:
    """The JSON of a header with its commit."""
    commit = signed_header.commit
    parts = commit.block_id.part_set_header
    return {
        "header": write_header(signed_header.header),
        "commit": {
            "height": str(commit.height),
            "round": commit.round,
            "block_id": {
                "hash": commit.block_id.hash.hex().upper(),
                "parts": {"total": parts.total, "hash": parts.hash.hex().upper()},
            },
            "signatures": [
                {
                    "block_id_flag": int(sig.block_id_flag),
                    "validator_address": sig.validator_address.hex().upper(),
                    "timestamp": write_time(sig.timestamp_ns),
                    "signature": base64.b64encode(sig.signature).decode(),
                }
                for sig in commit.signatures
            ],
        },
    }


def write_validators(validators: ValidatorSet) -> Json:
    """The JSON of a validator set."""
    return {
        "validators": [
            {
                "address": v.address.hex().upper(),
                "pub_key": {
                    "type": "tendermint/PubKeyEd25519",
                    "value": base64.b64encode(v.public_key).decode(),
                },
                "voting_power": str(v.voting_power),
            }
            for v in validators.validators
        ]
    }


def write_case(name: str, verdict: str, trusted: TestBlock, block: TestBlock) -> Json:
    """One step of verification with the verdict it must have, a second after the block."""
    now = write_time(block.header.time_ns + NANOSECONDS)
    return {
        "description": name,
        "class": "own",
        "trust_level": [
            str(OPTIONS.trust_level.numerator),
            str(OPTIONS.trust_level.denominator),
        ],
        "max_clock_drift_ns": str(OPTIONS.clock_drift_ns),
        "initial": {
            "signed_header": write_signed_header(trusted.signed_header),
            "next_validator_set": write_validators(trusted.next_validators.validators),
            "trusting_period": str(OPTIONS.trusting_period_ns),
            "now": now,
        },
        "input": [
            {
                "block": {
                    "signed_header": write_signed_header(block.signed_header),
                    "validator_set": write_validators(block.validators.validators),
                },
                "now": now,
                "verdict": verdict,
            }
        ],
    }


def build_light_verify() -> list[Json]:
    """Verification cases: the accepted, the boundary, and one of each kind of refusal."""
    four = TestValidatorSet.create([40, 30, 20, 10])
    other = TestValidatorSet.create([40, 30, 20, 11])
    thirds = TestValidatorSet.create([4, 2, 2, 1])
    strangers = TestValidatorSet.create([9, 9], prefix="stranger")
    whale = TestValidatorSet.from_members([("v0", 40), ("whale", 1000)])
    trusted = build_block(10, four)
    nine = build_block(10, thirds)
    late_ns = trusted.header.time_ns + OPTIONS.trusting_period_ns
    good = build_block(11, four)
    sigs = good.signed_header.commit.signatures
    swapped = replace(good.signed_header.commit, signatures=(sigs[1], sigs[0], *sigs[2:]))
    forged = replace(sigs[0], signature=bytes(64))
    unsigned = replace(good.signed_header.commit, signatures=(forged, *sigs[1:]))
    tampered = replace(good.header, app_hash=bytes(32))

    def signed(**changes: Any) -> TestBlock:
        return replace(good, signed_header=replace(good.signed_header, **changes))

    return [
        write_case("adjacent", "SUCCESS", trusted, good),
        write_case("skipping", "SUCCESS", trusted, build_block(20, four)),
        write_case("seven ninths signed", "SUCCESS", nine, build_block(11, thirds, absent=[2])),
        write_case("six ninths signed", "INVALID", nine, build_block(11, thirds, nil=[2, 3])),
        write_case("no trusted signer", "NOT_ENOUGH_TRUST", trusted, build_block(20, strangers)),
        write_case("whale alone", "NOT_ENOUGH_TRUST", trusted, build_block(20, whale, absent=[1])),
        write_case("set not announced", "INVALID", trusted, build_block(11, other)),
        write_case(
            "time equal", "INVALID", trusted, build_block(11, four, time_ns=trusted.header.time_ns)
        ),
        write_case(
            "height equal",
            "INVALID",
            trusted,
            build_block(10, four, time_ns=late_ns - NANOSECONDS - 1),
        ),
        write_case("expired", "INVALID", trusted, build_block(11, four, time_ns=late_ns)),
        write_case("other chain", "INVALID", trusted, build_block(11, four, chain_id="other-1")),
        write_case("votes swapped", "INVALID", trusted, signed(commit=swapped)),
        write_case("signature forged", "INVALID", trusted, signed(commit=unsigned)),
        write_case("header tampered", "INVALID", trusted, signed(header=tampered)),
    ]


def hash_header_with_protobuf(header: Header) -> bytes:
    """The header hash, its leaves made by the generated classes."""
    wire = header_to_pb(header)
    names = [
        "last_commit_hash",
        "data_hash",
        "validators_hash",
        "next_validators_hash",
        "consensus_hash",
        "app_hash",
        "last_results_hash",
        "evidence_hash",
        "proposer_address",
    ]
    leaves = [
        wire.version.SerializeToString(),
        StringValue(value=wire.chain_id).SerializeToString(),
        Int64Value(value=wire.height).SerializeToString(),
        wire.time.SerializeToString(),
        wire.last_block_id.SerializeToString(),
        *(BytesValue(value=getattr(wire, name)).SerializeToString() for name in names),
    ]
    return compute_root(leaves)


def write_vote(height: int, vote_round: int, block_hash: bytes, extension: bytes) -> Json:
    """One precommit with its signature, sign bytes made by the generated classes."""
    key = get_signing_key(f"vote {height}")
    seconds, nanos = 1_772_366_400 + height, height
    parts = canonical_pb2.CanonicalPartSetHeader(total=2, hash=sha256(block_hash).digest())
    vote = canonical_pb2.CanonicalVote(
        type=types_pb2.SIGNED_MSG_TYPE_PRECOMMIT,
        height=height,
        round=vote_round,
        timestamp=time_ns_to_pb(seconds * NANOSECONDS + nanos),
        chain_id="own-1",
    )
    if block_hash:
        vote.block_id.CopyFrom(
            canonical_pb2.CanonicalBlockID(hash=block_hash, part_set_header=parts)
        )
    canonical_extension = canonical_pb2.CanonicalVoteExtension(
        extension=extension, height=height, round=vote_round, chain_id="own-1"
    )
    sign_bytes = frame(vote.SerializeToString(deterministic=True))
    return {
        "type": 2,
        "chain_id": "own-1",
        "height": str(height),
        "round": vote_round,
        "block_id_hash": block_hash.hex(),
        "psh_total": 2 if block_hash else 0,
        "psh_hash": parts.hash.hex() if block_hash else "",
        "ts_seconds": str(seconds),
        "ts_nanos": nanos,
        "extension": extension.hex(),
        "extension_sign_bytes": frame(
            canonical_extension.SerializeToString(deterministic=True)
        ).hex(),
        "pubkey_ed25519": bytes(key.verify_key).hex(),
        "sign_bytes": sign_bytes.hex(),
        "signature": key.sign(sign_bytes).signature.hex(),
    }


def frame(body: bytes) -> bytes:
    """The body after its length; all these are shorter than 128 bytes or take two length bytes."""
    size = len(body)
    assert size < 1 << 14
    return (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + body


def write_validator_set(powers: list[int]) -> Json:
    """A set with its leaves and hash; equal powers propose in the order of their addresses."""
    validators = TestValidatorSet.create(powers).validators
    rows = []
    leaves = []
    for validator in validators.validators:
        leaf = simple_validator(validator)
        leaves.append(leaf)
        rows.append(
            {
                "address": validator.address.hex(),
                "power": str(validator.voting_power),
                "pubkey_ed25519": validator.public_key.hex(),
                "simple_validator_bytes": leaf.hex(),
            }
        )
    addresses = sorted(v.address.hex() for v in validators.validators)
    equal = len(set(powers)) == 1
    return {
        "hash": compute_root(leaves).hex(),
        "total": str(sum(powers)),
        "next_12_proposers": (addresses * 12)[:12] if equal else [],
        "validators_in_canonical_order": rows,
    }


def simple_validator(validator: Validator) -> bytes:
    """The leaf of a validator by the generated class."""
    full = validator_to_pb(validator)
    simple = validator_pb2.SimpleValidator(pub_key=full.pub_key, voting_power=full.voting_power)
    return simple.SerializeToString()


def build_hashes() -> Json:
    """Headers, votes and validator sets with their hashes and sign bytes."""
    four = TestValidatorSet.create([40, 30, 20, 10])
    headers = []
    for height in (1, 2, 1 << 40):
        header = build_header(
            height=height,
            validators=four,
            next_validators=four,
            time_ns=1_772_366_400 * NANOSECONDS + height,
            app_hash=sha256(b"app %d" % height).digest()[: 32 if height > 1 else 8],
        )
        headers.append(
            {
                "header_json": write_header(header),
                "header_pb": header_to_pb(header).SerializeToString().hex(),
                "hash": hash_header_with_protobuf(header).hex(),
            }
        )
    block_hash = sha256(b"block").digest()
    return {
        "headers": headers,
        "vote_sign_bytes": [
            write_vote(1, 0, block_hash, b""),
            write_vote(2, 3, b"", b"price"),
            write_vote(1 << 40, (1 << 31) - 1, block_hash, bytes(range(200))),
        ],
        "validator_sets": [write_validator_set(powers) for powers in ([1], [5, 5, 5], [9, 4, 1])],
    }


def build_files() -> dict[str, str]:
    """The text of each file by its name."""
    return {
        "light_verify.json": json.dumps(build_light_verify(), indent=1) + "\n",
        "cometbft_hashes_signbytes.json": json.dumps(build_hashes(), indent=1) + "\n",
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in build_files().items():
        (FOLDER / name).write_text(text)
