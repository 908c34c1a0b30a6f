"""IAVL roots, sizes, heights and proof bytes of cosmos/iavl (iavl/roots_and_proofs.json)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chain.merkle import iavl, ics23, ics23_codec
from tests.vectors.families import CaseResult


def run(folder: Path) -> Iterator[CaseResult]:
    """A case per saved version and per recorded proof."""
    for path in sorted((folder / "iavl").glob("*.json")):
        for scenario in json.loads(path.read_text())["scenarios"]:
            yield from _run_scenario(scenario)


def _run_scenario(scenario: dict[str, Any]) -> Iterator[CaseResult]:
    nodes: dict[bytes, iavl.Node] = {}
    root: iavl.Root | None = None
    for version in scenario["versions"]:
        name = f"{scenario['name']} v{version['version']}"
        tree = iavl.WorkingTree(nodes.__getitem__, root, version["version"])
        for operation in version["ops"] or []:
            key = bytes.fromhex(operation["key"])
            if operation["op"] == "set":
                tree.set(key, bytes.fromhex(operation["value"]))
            else:
                tree.remove(key)
        saved = tree.save()
        for node_key, _, record in saved.nodes:
            nodes[node_key] = iavl.decode_node(record)
        root = saved.root
        size = len(list(iavl.iterate(nodes.__getitem__, root)))
        height = root.height if root is not None else 0
        seen = (saved.root_hash.hex(), size, height)
        asked = (version["root"], version["size"], version["height"])
        yield CaseResult(f"{name} root", seen == asked, f"{seen} where {asked} was recorded")
        for proof in version.get("proofs") or []:
            yield _check_proof(name, proof, nodes, root)


def _check_proof(
    name: str, recorded: dict[str, Any], nodes: dict[bytes, iavl.Node], root: iavl.Root | None
) -> CaseResult:
    assert root is not None
    key = bytes.fromhex(recorded["key"])
    made = iavl.prove(nodes.__getitem__, root, key)
    encoded = ics23_codec.encode_proof(made)
    name = f"{name} proof of {recorded['key']}"
    if encoded.hex() != recorded["proof"]:
        return CaseResult(name, agree=False, detail=f"made {encoded.hex()}")
    proof = ics23_codec.decode_proof(encoded)
    try:
        if isinstance(made, ics23.ExistenceProof):
            ics23.verify_key(ics23.IAVL_SPEC, root.hash, proof, key, made.value)
        else:
            ics23.verify_key_absent(ics23.IAVL_SPEC, root.hash, proof, key)
    except ics23.InvalidProof as error:
        return CaseResult(name, agree=False, detail=str(error))
    return CaseResult(name, agree=True, detail="")
