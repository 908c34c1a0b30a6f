"""Ed25519 and secp256k1 verification against CometBFT's verdicts (Wycheproof and speccheck)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coincurve

from chain.lightclient.ed25519 import verify_signature, verify_zip215
from chain.runtime.signatures import is_signature_valid
from tests.vectors.families import CaseResult

REDUCED_BY_COMETBFT = (132, 133)
"""CometBFT reduces r or s at or above the group order; we refuse them."""


def run(folder: Path) -> Iterator[CaseResult]:
    """All files of crypto/ under the oracle's verdicts."""
    root = folder / "crypto"
    oracle_path = next(iter(sorted(root.glob("ORACLE_*.json"))), None)
    if oracle_path is None:
        return
    oracle = json.loads(oracle_path.read_text())
    yield from _check_speccheck(root, oracle["ed25519_speccheck"])
    yield from _check_ed25519(root, oracle["wycheproof_ed25519"])
    yield from _check_secp256k1(root, oracle["wycheproof_secp256k1_p1363"])


def _check_speccheck(root: Path, verdicts: list[dict[str, Any]]) -> Iterator[CaseResult]:
    accepted = {row["case"]: row["accepted"] for row in verdicts}
    cases = json.loads((root / "ed25519-speccheck" / "cases.json").read_text())
    for index, case in enumerate(cases):
        key, message, signature = (
            bytes.fromhex(case[name]) for name in ("pub_key", "message", "signature")
        )
        for rule in (verify_signature, verify_zip215):
            judged = rule(key, message, signature)
            yield CaseResult(
                f"speccheck {index} {rule.__name__}",
                judged == accepted[index],
                f"judged {judged}, CometBFT {accepted[index]}",
            )


def _get_verdicts(data: dict[str, Any], oracle: dict[str, Any]) -> dict[int, bool]:
    verdicts = {
        test["tcId"]: test["result"] == "valid"
        for group in data["testGroups"]
        for test in group["tests"]
    }
    for difference in oracle["differences_from_file"]:
        verdicts[difference["tcId"]] = difference["accepted"]
    assert sum(verdicts.values()) == oracle["accepted"]
    return verdicts


def _check_ed25519(root: Path, oracle: dict[str, Any]) -> Iterator[CaseResult]:
    data = json.loads((root / "wycheproof" / "ed25519_test.json").read_text())
    verdicts = _get_verdicts(data, oracle)
    for group in data["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for test in group["tests"]:
            message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            judged = verify_signature(key, message, signature)
            if len(signature) == 64:
                judged_slowly = verify_zip215(key, message, signature)
            else:
                judged_slowly = judged
            expected = verdicts[test["tcId"]]
            yield CaseResult(
                f"wycheproof ed25519 {test['tcId']}",
                judged == judged_slowly == expected,
                f"judged {judged}, slow rule {judged_slowly}, CometBFT {expected}",
            )


def _check_secp256k1(root: Path, oracle: dict[str, Any]) -> Iterator[CaseResult]:
    path = root / "wycheproof" / "ecdsa_secp256k1_sha256_p1363_test.json"
    data = json.loads(path.read_text())
    verdicts = _get_verdicts(data, oracle)
    for group in data["testGroups"]:
        uncompressed = bytes.fromhex(group["publicKey"]["uncompressed"])
        key = coincurve.PublicKey(uncompressed).format(compressed=True)
        for test in group["tests"]:
            number, expected = test["tcId"], verdicts[test["tcId"]]
            message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            judged = is_signature_valid(key, message, signature)
            yield CaseResult(
                f"wycheproof secp256k1 {number}",
                judged == expected,
                f"judged {judged}, CometBFT {expected}",
                stricter=expected and not judged and number in REDUCED_BY_COMETBFT,
            )
