"""Two-level proofs [iavl store, multistore] as ibc-go judges them (generated/ibc_merkle_proofs)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain.errors import ChainError
from chain.merkle import ics23, ics23_codec
from tests.vectors.families import CaseResult


def run(folder: Path) -> Iterator[CaseResult]:
    """A case per recorded proof."""
    recorded = json.loads((folder / "generated" / "ibc_merkle_proofs.json").read_text())
    for index, case in enumerate(recorded["cases"]):
        refusal = _judge(case)
        yield CaseResult(
            f"{index} {case['op']} {case['mutation']}",
            (refusal is None) == case["valid"],
            f"valid={case['valid']}, refusal: {refusal}",
        )


def _judge(case: dict[str, Any]) -> str | None:
    message = commitment_pb2.MerkleProof()
    path = [key.encode() for key in case["path"]]
    root = bytes.fromhex(case["root"])
    try:
        message.ParseFromString(bytes.fromhex(case["proof_pb"]))
        proofs = [
            ics23_codec.decode_proof(proof.SerializeToString(deterministic=True))
            for proof in message.proofs
        ]
        if case["op"] == "membership":
            value = bytes.fromhex(case["value"])
            ics23.verify_membership(ics23.SDK_SPECS, proofs, root, path, value)
        else:
            ics23.verify_non_membership(ics23.SDK_SPECS, proofs, root, path)
    except (ChainError, DecodeError) as error:
        return str(error)
    return None
