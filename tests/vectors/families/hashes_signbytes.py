"""Hashes and sign bytes of CometBFT v0.38.26: votes, proposals, validator sets, headers, trees."""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from chain._pb.tendermint.types import canonical_pb2, types_pb2, validator_pb2
from chain.client import comet_json
from chain.ibc.client.tendermint_wire import (
    block_id_to_pb,
    header_from_pb,
    header_to_pb,
    time_ns_to_pb,
    validator_to_pb,
)
from chain.lightclient.ed25519 import verify_signature
from chain.lightclient.encoding import (
    bytes_field,
    compute_consensus_params_hash,
    compute_header_hash,
    compute_validators_hash,
    encode_proposal_sign_bytes,
    encode_simple_validator,
    encode_vote_extension_sign_bytes,
    encode_vote_sign_bytes,
    length_delimited,
    varint_field,
)
from chain.lightclient.proposer import rotate_proposer
from chain.lightclient.types import BlockId, PartSetHeader, Validator, ValidatorSet
from chain.merkle.simple import compute_root, hash_leaf, is_included
from chain.units import NANOSECONDS
from tests.vectors.families import CaseResult

Json = dict[str, Any]


def run(folder: Path) -> Iterator[CaseResult]:
    """All groups of generated/cometbft_hashes_signbytes.json."""
    path = folder / "generated" / "cometbft_hashes_signbytes.json"
    if not path.exists():
        return
    data = json.loads(path.read_text())
    groups = {
        "vote_sign_bytes": _check_vote,
        "proposal_sign_bytes": _check_proposal,
        "validator_sets": _check_validator_set,
        "headers": _check_header,
        "merkle": _check_merkle,
        "consensus_params_hash": _check_consensus_params,
        "last_results_hash": _check_last_results,
        "data_hash": _check_data,
    }
    for group, check in groups.items():
        for index, case in enumerate(data.get(group, ())):
            problems = check(case)
            yield CaseResult(f"{group} {index}", not problems, "; ".join(problems))


def _differences(**pairs: tuple[object, object]) -> list[str]:
    return [
        f"{name}: got {got!r}, expected {expected!r}"
        for name, (got, expected) in pairs.items()
        if got != expected
    ]


def _read_block_id(case: Json) -> BlockId:
    parts = PartSetHeader(case["psh_total"], bytes.fromhex(case["psh_hash"]))
    return BlockId(bytes.fromhex(case["block_id_hash"]), parts)


def _read_time_ns(case: Json) -> int:
    return int(case["ts_seconds"]) * NANOSECONDS + case["ts_nanos"]


def _canonical_block_id(block_id: BlockId) -> canonical_pb2.CanonicalBlockID | None:
    if block_id.is_zero():
        return None
    wire = block_id_to_pb(block_id).SerializeToString()
    return canonical_pb2.CanonicalBlockID.FromString(wire)


def _check_vote(case: Json) -> list[str]:
    block_id, time_ns = _read_block_id(case), _read_time_ns(case)
    height, vote_round, chain_id = int(case["height"]), case["round"], case["chain_id"]
    sign_bytes = encode_vote_sign_bytes(
        chain_id,
        vote_type=case["type"],
        height=height,
        vote_round=vote_round,
        block_id=block_id,
        time_ns=time_ns,
    )
    generated = canonical_pb2.CanonicalVote(
        type=types_pb2.SignedMsgType.ValueType(case["type"]),
        height=height,
        round=vote_round,
        block_id=_canonical_block_id(block_id),
        timestamp=time_ns_to_pb(time_ns),
        chain_id=chain_id,
    )
    key, signature = bytes.fromhex(case["pubkey_ed25519"]), bytes.fromhex(case["signature"])
    problems = _differences(
        sign_bytes=(sign_bytes.hex(), case["sign_bytes"]),
        protobuf=(sign_bytes, length_delimited(generated.SerializeToString(deterministic=True))),
        signature=(verify_signature(key, sign_bytes, signature), True),
        altered=(verify_signature(key, sign_bytes + b"\x00", signature), False),
    )
    if "extension_sign_bytes" in case:
        extension = encode_vote_extension_sign_bytes(
            chain_id, height, vote_round, bytes.fromhex(case["extension"])
        )
        problems += _differences(extension=(extension.hex(), case["extension_sign_bytes"]))
        if "extension_signature" in case:
            signature = bytes.fromhex(case["extension_signature"])
            problems += _differences(
                extension_signature=(verify_signature(key, extension, signature), True)
            )
    return problems


def _check_proposal(case: Json) -> list[str]:
    sign_bytes = encode_proposal_sign_bytes(
        case["chain_id"],
        height=int(case["height"]),
        proposal_round=case["round"],
        pol_round=case["pol_round"],
        block_id=_read_block_id(case),
        time_ns=_read_time_ns(case),
    )
    return _differences(sign_bytes=(sign_bytes.hex(), case["sign_bytes"]))


def _check_validator_set(case: Json) -> list[str]:
    rows = case["validators_in_canonical_order"]
    validators = ValidatorSet(
        tuple(Validator(bytes.fromhex(r["pubkey_ed25519"]), int(r["power"])) for r in rows)
    )
    proposers = []
    rotated = validators
    for _ in case["next_12_proposers"]:
        rotated, proposer = rotate_proposer(rotated)
        proposers.append(proposer.address.hex())
    leaves = [encode_simple_validator(v).hex() for v in validators.validators]
    wire = []
    for validator in validators.validators:
        full = validator_to_pb(validator)
        simple = validator_pb2.SimpleValidator(pub_key=full.pub_key, voting_power=full.voting_power)
        wire.append(simple.SerializeToString().hex())
    return _differences(
        addresses=([v.address.hex() for v in validators.validators], [r["address"] for r in rows]),
        leaves=(leaves, [r["simple_validator_bytes"] for r in rows]),
        protobuf=(leaves, wire),
        hash=(compute_validators_hash(validators).hex(), case["hash"]),
        total=(str(validators.total_power), case["total"]),
        proposers=(proposers, case["next_12_proposers"]),
    )


def _check_header(case: Json) -> list[str]:
    wire = types_pb2.Header.FromString(bytes.fromhex(case["header_pb"]))
    header = header_from_pb(wire)
    from_json = header_from_pb(comet_json.parse_header(case["header_json"]))
    altered = compute_header_hash(replace(header, version_app=header.version_app + 1))
    return _differences(
        hash=(compute_header_hash(header).hex(), case["hash"]),
        json=(from_json, header),
        protobuf=(header_to_pb(header).SerializeToString().hex(), case["header_pb"]),
        altered=(altered.hex() == case["hash"], False),
    )


def _check_merkle(case: Json) -> list[str]:
    leaves = [bytes.fromhex(leaf) for leaf in case["leaves"] or ()]
    root = bytes.fromhex(case["root"])
    problems = _differences(root=(compute_root(leaves), root))
    for index, proof in enumerate(case.get("proofs") or ()):
        leaf_hash = bytes.fromhex(proof["leaf_hash"])
        aunts = [bytes.fromhex(aunt) for aunt in proof["aunts"] or ()]
        valid = leaf_hash == hash_leaf(bytes.fromhex(proof["leaf"])) and is_included(
            root, int(proof["index"]), int(proof["total"]), leaf_hash, aunts
        )
        if valid != proof["valid"]:
            problems.append(f"proof {index}: judged {valid}, expected {proof['valid']}")
    return problems


def _check_consensus_params(case: Json) -> list[str]:
    computed = compute_consensus_params_hash(
        int(case["block_max_bytes"]), int(case["block_max_gas"])
    )
    return _differences(hash=(computed.hex(), case["hash"]))


def _check_last_results(case: Json) -> list[str]:
    """Only four fields of a result enter; the encoding is ExecTxResult's own."""
    leaves = [
        varint_field(1, int(result["code"]))
        + bytes_field(2, bytes.fromhex(result["data"] or ""))
        + varint_field(5, int(result["gas_wanted"]))
        + varint_field(6, int(result["gas_used"]))
        for result in case["tx_results"] or ()
    ]
    return _differences(hash=(compute_root(leaves).hex(), case["last_results_hash"]))


def _check_data(case: Json) -> list[str]:
    txs = [bytes.fromhex(tx) for tx in case["txs"] or ()]
    root = compute_root([sha256(tx).digest() for tx in txs])
    problems = _differences(hash=(root.hex(), case["data_hash"]))
    proof = case.get("last_tx_proof")
    if proof:
        aunts = [bytes.fromhex(aunt) for aunt in proof["aunts"] or ()]
        leaf_hash = bytes.fromhex(proof["leaf_hash"])
        included = is_included(root, proof["index"], proof["total"], leaf_hash, aunts)
        problems += _differences(
            proof=(included, True),
            leaf=(leaf_hash, hash_leaf(sha256(txs[-1]).digest())),
        )
    return problems
