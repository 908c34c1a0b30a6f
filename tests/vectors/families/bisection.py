"""Skipping verification of whole chains (tendermint-rs), transcribed from their amino encoding.

The files were made in 2019, before headers and votes were encoded in protobuf, so that no client
since Tendermint 0.34 can verify them as they stand. Each block is first judged by the rules of its
time (amino header hash, validator hash, vote signatures) and then rewritten in today's encoding:
same heights, times, powers and flags, with a test key for each validator. What was valid then is
signed validly now, what was not is not; the verdict over the chain must be the file's.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from chain.client import comet_json
from chain.lightclient import predicates, verifier
from chain.lightclient.ed25519 import verify_signature
from chain.lightclient.encoding import (
    CommitSignBytes,
    bytes_field,
    compute_header_hash,
    compute_validators_hash,
    encode_block_id,
    encode_timestamp,
    length_delimited,
    message_field,
    sfixed64_field,
    uvarint,
    varint_field,
)
from chain.lightclient.types import (
    BLOCK_PROTOCOL,
    SIGNATURE_BYTES,
    BlockId,
    BlockIdFlag,
    Commit,
    CommitSig,
    Header,
    Options,
    SignedHeader,
    TrustedState,
    TrustLevel,
    UntrustedBlock,
    Validator,
    ValidatorSet,
)
from chain.lightclient.verifier import Invalid, NotEnoughTrust, Success
from chain.merkle.simple import compute_root
from chain.units import NANOSECONDS
from tests.vectors.families import CaseResult
from tests.vectors.families.lightclient import read_signed_header, read_validators, trust

DRIFT_NS = 10 * NANOSECONDS
AMINO_ED25519_PREFIX = bytes.fromhex("1624de6420")
BAD_SIGNATURE = bytes(SIGNATURE_BYTES)

Json = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """A transcribed block with the set that follows it and the hash it had in amino."""

    untrusted: UntrustedBlock
    next_validators: ValidatorSet
    amino_hash: bytes

    @property
    def header(self) -> Header:
        """The transcribed header."""
        return self.untrusted.signed_header.header

    @property
    def trusted(self) -> TrustedState:
        """The state of a client that trusts the block."""
        return trust(self.untrusted.signed_header, self.next_validators)


def run(folder: Path) -> Iterator[CaseResult]:
    """One case a file."""
    for path in sorted((folder / "lightclient" / "tendermint-rs-bisection").rglob("*.json")):
        yield _run_file(path)


def _bare(value: bytes) -> bytes:
    """Amino's encoding of text or bytes outside a struct: no field key."""
    return length_delimited(value) if value else b""


def compute_amino_header_hash(header: Header) -> bytes:
    """The block hash of Tendermint 0.33."""
    return compute_root(
        [
            varint_field(1, header.version_block) + varint_field(2, header.version_app),
            _bare(header.chain_id.encode()),
            uvarint(header.height),
            encode_timestamp(header.time_ns),
            # A zero id was an empty struct.
            b"" if header.last_block_id.is_zero() else encode_block_id(header.last_block_id),
            _bare(header.last_commit_hash),
            _bare(header.data_hash),
            _bare(header.validators_hash),
            _bare(header.next_validators_hash),
            _bare(header.consensus_hash),
            _bare(header.app_hash),
            _bare(header.last_results_hash),
            _bare(header.evidence_hash),
            _bare(header.proposer_address),
        ]
    )


def compute_amino_validators_hash(validators: ValidatorSet) -> bytes:
    """The validator set hash of Tendermint 0.33: registered key bytes and power."""
    return compute_root(
        [
            bytes_field(1, AMINO_ED25519_PREFIX + v.public_key) + varint_field(2, v.voting_power)
            for v in validators.validators
        ]
    )


def encode_amino_vote(chain_id: str, commit: Commit, sig: CommitSig) -> bytes:
    """The sign bytes of Tendermint 0.33: the parts' hash stood before their count."""
    parts = commit.block_id.part_set_header
    block_id = bytes_field(1, commit.block_id.hash) + message_field(
        2, bytes_field(1, parts.hash) + varint_field(2, parts.total)
    )
    return length_delimited(
        varint_field(1, 2)
        + sfixed64_field(2, commit.height)
        + sfixed64_field(3, commit.round)
        + message_field(4, block_id)
        + message_field(5, encode_timestamp(sig.timestamp_ns))
        + bytes_field(6, chain_id.encode())
    )


def _get_key(validator: Validator) -> SigningKey:
    return SigningKey(sha256(b"transcribed " + validator.public_key).digest())


def _transcribe_validators(old: ValidatorSet) -> ValidatorSet:
    return ValidatorSet(
        tuple(
            Validator(bytes(_get_key(v).verify_key), v.voting_power, v.proposer_priority)
            for v in old.validators
        )
    )


def _transcribe_hash(old_hash: bytes, old: ValidatorSet) -> bytes:
    """Today's hash of a set if the header named it rightly, else the old hash, fitting nothing."""
    if old_hash != compute_amino_validators_hash(old):
        return old_hash
    return compute_validators_hash(_transcribe_validators(old))


def _transcribe_commit(old: SignedHeader, old_validators: ValidatorSet, header: Header) -> Commit:
    block_id = old.commit.block_id
    if block_id.hash == compute_amino_header_hash(old.header):
        block_id = BlockId(compute_header_hash(header), block_id.part_set_header)
    empty = Commit(old.commit.height, old.commit.round, block_id, ())
    sign_bytes = CommitSignBytes(header.chain_id, empty)
    signatures = []
    for slot, sig in enumerate(old.commit.signatures):
        if sig.block_id_flag != BlockIdFlag.COMMIT:
            signatures.append(sig)
            continue
        validator = old_validators.validators[slot]
        key = _get_key(validator)
        address = sig.validator_address
        if address == validator.address:
            address = Validator(bytes(key.verify_key), 1).address
        vote = encode_amino_vote(header.chain_id, old.commit, sig)
        valid = verify_signature(validator.public_key, vote, sig.signature)
        signature = key.sign(sign_bytes.encode(sig)).signature if valid else BAD_SIGNATURE
        signatures.append(replace(sig, validator_address=address, signature=signature))
    return replace(empty, signatures=tuple(signatures))


def _transcribe(raw: Json) -> Block:
    old = read_signed_header(raw["signed_header"], normalise=False)
    validators = read_validators(raw["validator_set"], normalise=False)
    next_validators = read_validators(raw["next_validator_set"], normalise=False)
    header = replace(
        old.header,
        version_block=BLOCK_PROTOCOL,
        validators_hash=_transcribe_hash(old.header.validators_hash, validators),
        next_validators_hash=_transcribe_hash(old.header.next_validators_hash, next_validators),
    )
    commit = _transcribe_commit(old, validators, header)
    return Block(
        UntrustedBlock(SignedHeader(header, commit), _transcribe_validators(validators)),
        _transcribe_validators(next_validators),
        compute_amino_header_hash(old.header),
    )


def _read_provider(provider: Json) -> dict[int, Block]:
    blocks = [_transcribe(raw) for raw in provider["lite_blocks"]]
    return {block.header.height: block for block in blocks}


def _bisect(
    blocks: dict[int, Block], trusted_height: int, target_height: int, options: Options, now_ns: int
) -> str:
    """Skipping verification up to the target: "" or why it ended."""
    trusted = blocks[trusted_height].trusted
    pivot = target_height
    while trusted.height < target_height:
        if pivot not in blocks:
            return f"no block at {pivot}"
        match verifier.verify(trusted, blocks[pivot].untrusted, options, now_ns):
            case Success():
                trusted, pivot = blocks[pivot].trusted, target_height
            case NotEnoughTrust(tally):
                pivot = (trusted.height + pivot) // 2
                if pivot == trusted.height:
                    return f"nothing in between: {tally}"
            case Invalid(error):
                return str(error)
    return ""


def _run_file(path: Path) -> CaseResult:
    case = json.loads(path.read_text())
    trusted = case["trust_options"]
    level = trusted["trust_level"]
    options = Options(
        TrustLevel(int(level["numerator"]), int(level["denominator"])),
        int(trusted["period"]),
        DRIFT_NS,
    )
    blocks = _read_provider(case["primary"])
    start, target = int(trusted["height"]), int(case["height_to_verify"])
    if blocks[start].amino_hash.hex().upper() != trusted["hash"]:
        return CaseResult(path.stem, agree=False, detail="trusted hash does not recompute")
    error = _bisect(blocks, start, target, options, comet_json.parse_time_ns(case["now"]))
    for witness in case.get("witnesses") or ():
        seen = _read_provider(witness["value"])[target]
        if not error and predicates.is_conflicting(blocks[target].header, seen.header):
            error = "a witness has another header"
    expected = case["expected_output"] == "error"
    detail = f"expected {'an error' if expected else 'success'}, got {error or 'success'}"
    return CaseResult(path.stem, agree=expected == bool(error), detail=detail)
