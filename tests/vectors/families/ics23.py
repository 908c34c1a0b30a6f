"""ICS-23: the public test data of cosmos/ics23 and mutated proofs judged by its Go library."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict

from chain._pb.cosmos.ics23.v1 import proofs_pb2 as pb
from chain.errors import ChainError
from chain.merkle import ics23, ics23_codec
from tests.vectors.families import CaseResult

SPECS = {
    "iavl": ics23.IAVL_SPEC,
    "tendermint": ics23.TENDERMINT_SPEC,
    "smt": ics23.SMT_SPEC,
}


def run(folder: Path) -> Iterator[CaseResult]:
    """A case per proof file, per table row and per mutation."""
    data = folder / "ics23" / "testdata"
    for spec in SPECS:
        for path in sorted((data / spec).glob("*.json")):
            yield from _run_proof_file(spec, path)
    for name, judge in _TABLES.items():
        path = data / f"{name}.json"
        if path.exists():
            rows = json.loads(path.read_text())
            named = rows.items() if isinstance(rows, dict) else enumerate(rows)
            for row_name, row in named:
                yield judge(f"{name} {row_name}", row)
    path = folder / "generated" / "ics23_mutations.json"
    for index, case in enumerate(json.loads(path.read_text())["cases"]):
        name = f"mutation {index} {case['from']} {case['mutation']} under {case['spec']}"
        refusal = _refusal(_verify, case["spec"], case, _hex(case.get("value")), case["op"])
        agree = (refusal is None) == case["valid"]
        yield CaseResult(name, agree, f"valid={case['valid']}, refusal: {refusal}")


def _hex(text: str | None) -> bytes:
    return bytes.fromhex(text or "")


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def _refusal(judge: Callable[..., object], *arguments: object) -> str | None:
    try:
        judge(*arguments)
    except ChainError as error:
        return str(error)
    return None


def _verify(spec: str, case: Mapping[str, Any], value: bytes, operation: str) -> None:
    proof = ics23_codec.decode_proof(_hex(case["proof"]))
    root, key = _hex(case["root"]), _hex(case["key"])
    if operation == "membership":
        ics23.verify_key(SPECS[spec], root, proof, key, value)
    else:
        ics23.verify_key_absent(SPECS[spec], root, proof, key)


def _run_proof_file(spec: str, path: Path) -> Iterator[CaseResult]:
    case = json.loads(path.read_text())
    for index, item in enumerate(case.get("items") or [case]):
        value = _hex(item.get("value"))
        operation = "membership" if value else "non_membership"
        refusal = _refusal(_verify, spec, {**case, "key": item["key"]}, value, operation)
        yield CaseResult(f"{spec}/{path.stem} {index}", refusal is None, refusal or "")
    root = ics23.compute_root(ics23_codec.decode_proof(_hex(case["proof"])))
    yield CaseResult(f"{spec}/{path.stem} root", root == _hex(case["root"]), root.hex())


def _leaf(row: Mapping[str, Any]) -> ics23.LeafOp:
    proof = pb.CommitmentProof(exist=pb.ExistenceProof(leaf=ParseDict(row, pb.LeafOp())))
    decoded = ics23_codec.proof_from_message(proof)
    assert isinstance(decoded, ics23.ExistenceProof)
    assert decoded.leaf is not None
    return decoded.leaf


def _inner(row: Mapping[str, Any]) -> ics23.InnerOp:
    return ics23.InnerOp(row.get("hash", 0), _bytes(row.get("prefix")), _bytes(row.get("suffix")))


def _existence(row: Mapping[str, Any]) -> ics23.ExistenceProof:
    message = pb.CommitmentProof(exist=ParseDict(row, pb.ExistenceProof()))
    decoded = ics23_codec.proof_from_message(message)
    assert isinstance(decoded, ics23.ExistenceProof)
    return decoded


def _spec(row: Mapping[str, Any] | None) -> ics23.ProofSpec:
    return ics23_codec.spec_from_message(ParseDict(row or {}, pb.ProofSpec()))


def _compare(name: str, row: Mapping[str, Any], compute: Callable[[], bytes]) -> CaseResult:
    try:
        result: bytes | None = compute()
    except ChainError as error:
        return CaseResult(name, row["IsErr"], str(error))
    agree = not row["IsErr"] and result == _bytes(row["Expected"])
    return CaseResult(name, agree, f"computed {result.hex() if result else result}")


def _judge_leaf(name: str, row: Mapping[str, Any]) -> CaseResult:
    key, value = _bytes(row["Key"]), _bytes(row["Value"])
    return _compare(name, row, lambda: ics23.compute_leaf(_leaf(row["Op"]), key, value))


def _judge_inner(name: str, row: Mapping[str, Any]) -> CaseResult:
    child = _bytes(row["Child"])
    return _compare(name, row, lambda: ics23.compute_inner(_inner(row["Op"]), child))


def _judge_hash(name: str, row: Mapping[str, Any]) -> CaseResult:
    # Go's JSON decoder takes either spelling of the field.
    preimage = row.get("Preimage", row.get("PreImage"))
    digest = ics23.hash_bytes(row["HashOp"], preimage.encode()).hex()
    return CaseResult(name, digest == row["ExpectedHash"], f"computed {digest}")


def _judge_existence(name: str, row: Mapping[str, Any]) -> CaseResult:
    return _compare(name, row, lambda: ics23.compute_root(_existence(row["Proof"])))


def _judge_against_spec(name: str, row: Mapping[str, Any]) -> CaseResult:
    expected = bool(row.get("IsErr") or row.get("Err"))
    try:
        ics23.validate_existence(_existence(row["Proof"]), _spec(row["Spec"]))
    except ics23.InvalidProofSpec as error:
        return CaseResult(name, expected, str(error), stricter=not expected)
    except ChainError as error:
        return CaseResult(name, expected, str(error))
    return CaseResult(name, not expected, "accepted")


def _judge_check_leaf(name: str, row: Mapping[str, Any]) -> CaseResult:
    spec = ics23.ProofSpec(leaf=_leaf(row["Spec"]), inner=None)
    refusal = _refusal(ics23.validate_leaf, _leaf(row["Leaf"]), spec)
    return CaseResult(name, (refusal is not None) == row["IsErr"], f"refusal: {refusal}")


def _judge_empty_branch(name: str, row: Mapping[str, Any]) -> CaseResult:
    spec, step = _spec(row["Spec"]), _inner(row["Op"])
    assert spec.inner is not None
    refusal = _refusal(ics23.validate_inner, step, spec, 1)
    seen = (ics23.is_left_empty(spec.inner, step), ics23.is_right_empty(spec.inner, step))
    agree = refusal is None and seen == (row["IsLeft"], row["IsRight"])
    return CaseResult(name, agree, f"left, right empty: {seen}, refusal: {refusal}")


_TABLES: Mapping[str, Callable[[str, Mapping[str, Any]], CaseResult]] = {
    "TestLeafOpData": _judge_leaf,
    "TestInnerOpData": _judge_inner,
    "TestDoHashData": _judge_hash,
    "TestExistenceProofData": _judge_existence,
    "TestCheckAgainstSpecData": _judge_against_spec,
    "TestCheckLeafData": _judge_check_leaf,
    "TestEmptyBranchData": _judge_empty_branch,
}
