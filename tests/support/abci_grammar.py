"""The legal order of ABCI calls: CometBFT's grammar as two regular expressions, and stateful rules.

`check_grammar` judges names alone, as CometBFT's own checker does. `check_call_log` reads the
records of chain.node.abci_log over the life of a node, restarts included, and adds heights, hashes
and answers.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LETTERS = {
    "init_chain": "I",
    "offer_snapshot": "O",
    "apply_snapshot_chunk": "A",
    "prepare_proposal": "P",
    "process_proposal": "R",
    "extend_vote": "E",
    "verify_vote_extension": "V",
    "finalize_block": "F",
    "commit": "C",
}
_CLEAN_START = re.compile(r"(?:I|(?:OA*)*OA+)(?:[VPRE]*FC)+")
_RECOVERY = re.compile(r"I?(?:[VPRE]*FC)+")


def check_grammar(calls: Sequence[str], *, is_clean_start: bool) -> str | None:
    """Why one execution's calls are not legal, or None; an unfinished last height is not judged."""
    word = "".join(_LETTERS.get(call, "") for call in calls)
    if not word:
        return "no call at all"
    whole = word[: word.rfind("C") + 1]
    if not whole:
        return None
    pattern = _CLEAN_START if is_clean_start else _RECOVERY
    if pattern.fullmatch(whole):
        return None
    kind = "clean start" if is_clean_start else "recovery"
    return f"{whole} is not a {kind}"


def read_call_log(path: Path) -> list[dict[str, Any]]:
    """The records of a call log; a last line torn by a kill is left out."""
    entries = []
    for line in path.read_text().splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return entries


@dataclass(slots=True)
class _Node:
    """What a node is known to have done so far, over all its executions."""

    committed: tuple[int, str] | None = None
    finalized: tuple[int, str] | None = None
    results: dict[int, tuple[str, str]] = field(default_factory=dict)
    prepared: set[tuple[int, str]] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    finalized_here: set[int] = field(default_factory=set)
    commits_here: int = 0


def split_executions(entries: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The log cut at each handshake: a process start, or the first Info of a new connection."""
    executions: list[list[Mapping[str, Any]]] = []
    connections: set[int] = set()
    for entry in entries:
        if entry["call"] == "start":
            connections.clear()
            continue
        is_handshake = entry["call"] == "info" and entry["connection"] not in connections
        connections.add(entry["connection"])
        if is_handshake or not executions:
            executions.append([])
        executions[-1].append(entry)
    return executions


def check_call_log(
    entries: Sequence[Mapping[str, Any]], *, vote_extensions_enable_height: int = 0
) -> list[str]:
    """Every rule the log breaks, one sentence each; empty when all is legal."""
    node = _Node()
    found: list[str] = []
    for number, execution in enumerate(split_executions(entries)):
        calls = [str(entry["call"]) for entry in execution]
        first = execution[0]
        if first["call"] != "info":
            found.append(f"execution {number} begins with {first['call']}, not info")
        is_clean_start = first["call"] == "info" and first["height"] == 0
        error = check_grammar(calls, is_clean_start=is_clean_start)
        if error and set(calls) & set(_LETTERS):
            found.append(f"execution {number}: {error}")
        node.finalized_here.clear()
        node.prepared.clear()
        node.commits_here = 0
        is_handshake = True
        for entry in execution:
            found += [
                f"execution {number}: {sentence}"
                for sentence in _check_entry(
                    node, entry, vote_extensions_enable_height, is_handshake=is_handshake
                )
            ]
            is_handshake = False
        found += [f"execution {number}: {sentence}" for sentence in _check_overlap(execution)]
    return found


def _check_entry(
    node: _Node, entry: Mapping[str, Any], enable_height: int, *, is_handshake: bool
) -> Iterator[str]:
    match entry["call"]:
        case "info":
            yield from _check_info(node, entry, is_handshake=is_handshake)
        case "init_chain" if node.committed is not None and node.committed[0] > 0:
            yield f"init_chain after height {node.committed[0]}"
        case "prepare_proposal":
            node.prepared.add((entry["height"], entry["txs_hash"]))
        case "process_proposal":
            yield from _check_process(node, entry)
        case "extend_vote" | "verify_vote_extension" if not 0 < enable_height <= entry["height"]:
            yield f"{entry['call']} at height {entry['height']}, enabled from {enable_height}"
        case "finalize_block":
            yield from _check_finalize(node, entry)
        case "commit":
            yield from _check_commit(node)
        case "check_tx" if entry["recheck"] and not node.commits_here:
            yield "a recheck before any commit"


def _check_commit(node: _Node) -> Iterator[str]:
    if node.finalized is None:
        yield "commit without finalize_block"
    node.committed, node.finalized = node.finalized, None
    node.commits_here += 1


def _check_process(node: _Node, entry: Mapping[str, Any]) -> Iterator[str]:
    if entry["status"] == "ACCEPT":
        return
    node.rejected.add(entry["hash"])
    if (entry["height"], entry["txs_hash"]) in node.prepared:
        yield f"own proposal of height {entry['height']} answered {entry['status']}"


def _check_info(node: _Node, entry: Mapping[str, Any], *, is_handshake: bool) -> Iterator[str]:
    """Info shows the last commit; a kill between a durable commit and its record shows one more."""
    shown = (entry["height"], entry["app_hash"])
    if node.committed is None:
        if shown[0] == 0 or (node.finalized == shown and is_handshake):
            node.committed = shown
        elif not is_handshake or node.results:
            yield f"info shows height {shown[0]}, nothing was committed"
        else:
            node.committed = shown
    elif shown != node.committed:
        if is_handshake and shown == node.finalized:
            node.committed = shown
        else:
            yield f"info shows {shown}, the last commit was {node.committed}"
    if is_handshake:
        node.finalized = None


def _check_finalize(node: _Node, entry: Mapping[str, Any]) -> Iterator[str]:
    height = entry["height"]
    last = node.committed[0] if node.committed is not None else 0
    # The first block of a chain may have any initial height.
    if last and height != last + 1:
        yield f"finalize_block of height {height} after a commit of height {last}"
    if height in node.finalized_here:
        yield f"finalize_block of height {height} twice"
    node.finalized_here.add(height)
    if entry["hash"] in node.rejected:
        yield f"finalize_block of block {entry['hash']}, which was rejected"
    result = (entry["app_hash"], entry["results_hash"])
    if node.results.setdefault(height, result) != result:
        yield f"a replay of height {height} gave another app hash or other results"
    node.finalized = (height, entry["app_hash"])


def _check_overlap(execution: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """CheckTx is not served while a Commit runs."""
    commits = [(e["start_ns"], e["end_ns"]) for e in execution if e["call"] == "commit"]
    for entry in execution:
        if entry["call"] != "check_tx":
            continue
        for start, end in commits:
            if entry["start_ns"] < end and start < entry["end_ns"]:
                yield "check_tx was served during a commit"
