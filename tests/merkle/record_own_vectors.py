"""Records tests/vectors/own from the Go oracle: `python -m tests.merkle.record_own_vectors BINARY`.

The files have the layout of the shared vectors, so the same family runners read them.
"""

import json
import random
import sys
from pathlib import Path

from tests.merkle import oracle, test_go_differential

OWN = Path(__file__).resolve().parents[1] / "vectors" / "own"
ORACLE = "cosmos/iavl v1.2.2, cosmos/ics23/go v0.11.0"
SEED = 2020_03_12


def record_roots(binary: Path) -> list[dict[str, object]]:
    """One small scenario with its roots and proofs."""
    prove = [b"0", b"7", b"kk", b"path/00031/tail", b"zz"]
    versions = [
        {
            "ops": [
                {"op": "set", "key": key.hex(), "value": value.hex()}
                if value is not None
                else {"op": "remove", "key": key.hex()}
                for key, value in batch
            ],
            "prove": [key.hex() for key in prove] if number % 6 == 3 else [],
        }
        for number, batch in enumerate(test_go_differential.make_versions(SEED, 20, 60))
    ]
    saved = oracle.ask(binary, {"versions": versions})["versions"]
    path = OWN / "iavl" / "roots_and_proofs.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    scenario = {"name": "own", "versions": saved}
    path.write_text(
        json.dumps({"oracle": ORACLE, "seed": SEED, "scenarios": [scenario]}, indent=0) + "\n"
    )
    return saved


def record_mutations(binary: Path, saved: list[dict[str, object]]) -> None:
    """Verdicts on the recorded proofs, whole and damaged."""
    dice = random.Random(SEED)
    values: dict[str, str] = {}
    cases = []
    for version in saved:
        for operation in version["ops"] or []:
            values[operation["key"]] = operation.get("value", "")
        for proof in version["proofs"] or []:
            for mutation in range(4):
                data = bytes.fromhex(proof["proof"])
                if mutation:
                    data = test_go_differential.mutate(dice, data)
                cases.append(
                    {
                        "spec": "iavl",
                        "from": f"own v{version['version']}",
                        "mutation": f"byte change {mutation}" if mutation else "none",
                        "op": proof["op"],
                        "root": version["root"],
                        "key": proof["key"],
                        "value": values[proof["key"]] if proof["op"] == "membership" else "",
                        "proof": data.hex(),
                    }
                )
    valid = oracle.ask(binary, {"verify": cases})["valid"]
    for case, verdict in zip(cases, valid, strict=True):
        case["valid"] = verdict
    path = OWN / "generated" / "ics23_mutations.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"oracle": ORACLE, "cases": cases}, indent=0) + "\n")


if __name__ == "__main__":
    program = Path(sys.argv[1])
    record_mutations(program, record_roots(program))
