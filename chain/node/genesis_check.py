"""A genesis file judged before a node starts with it: every fault with its file and line.

The document's own keys are checked here, the application's part by running InitChain over it in
memory, so that nothing passes here and fails at the first block.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from chain._pb.tendermint.abci import types_pb2 as abci
from chain._pb.tendermint.crypto import keys_pb2
from chain.client.comet_json import parse_consensus_params
from chain.client.json_text import TooDeep, load_json
from chain.errors import ChainError
from chain.node.home import CHAIN_ID, compute_consensus_address
from chain.node.node import CHAINS
from chain.node.storage import open_commit_store
from chain.runtime.application import Application

_KEYS: Final = frozenset(
    {
        "app_hash",
        "app_name",
        "app_state",
        "app_version",
        "chain_id",
        "consensus",
        "consensus_params",
        "genesis_time",
        "initial_height",
        "validators",
    }
)
_ANY_TIME: Final = "2026-01-01T00:00:00Z"
_OPTIONAL_KEYS: Final = ("genesis_time", "initial_height")
"""CometBFT fills in now and 1."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_PATH_STEP = re.compile(r"([A-Za-z_@][A-Za-z0-9_@]*)|\[(\d+)\]")
_APP_PATH = re.compile(r"app_state(?:\.[A-Za-z_][A-Za-z0-9_]*|\[\d+\])*")
_NO_FIELD = re.compile(r'has no field named "([^"]+)"(?: at "[A-Za-z]+\.?([^"]*)")?')
_BAD_FIELD = re.compile(r"Failed to parse (?:@type )?(\w+) field")

JsonPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class GenesisFault:
    """One thing wrong: `file:line: reason`."""

    file: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def check_genesis(path: Path, chain_type: str) -> list[GenesisFault]:
    """The faults of a genesis file for a hub or spoke; none when a chain can start with it."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        return [GenesisFault(path, 1, f"cannot be read: {error}")]
    try:
        document = load_json(text)
    except TooDeep as error:
        return [GenesisFault(path, 1, str(error))]
    except json.JSONDecodeError as error:
        return [GenesisFault(path, error.lineno, f"not JSON: {error.msg}")]
    if not isinstance(document, dict):
        return [GenesisFault(path, 1, "the document must be a JSON object")]
    lines = locate(text)

    def fault(where: JsonPath, reason: str) -> GenesisFault:
        return GenesisFault(path, _find_line(lines, where), reason)

    faults = [fault(where, reason) for where, reason in _check_document(document)]
    if chain_type not in CHAINS:
        faults.append(fault((), f"chain type {chain_type!r} must be one of {', '.join(CHAINS)}"))
    if not faults:
        faults += [
            fault(where, reason) for where, reason in _check_app_state(document, chain_type, lines)
        ]
    return faults


def locate(text: str) -> dict[JsonPath, int]:
    """The line of every key and element of a JSON text that parses, by its path."""
    lines: dict[JsonPath, int] = {}
    stack: list[tuple[str, str | int]] = []  # Container kind and the step being read.
    line, end, pending = 1, 0, ""
    for token in _TOKEN.finditer(text):
        line += text.count("\n", end, token.start())
        end = token.start()
        word = token[0]
        if word == ":":
            stack[-1] = ("{", json.loads(pending))
            lines[_path(stack)] = line
        elif word == ",":
            if stack[-1][0] == "[":
                stack[-1] = ("[", int(stack[-1][1]) + 1)
        elif word in "}]":
            stack.pop()
        else:
            if stack and stack[-1][0] == "[":
                lines[_path(stack)] = line
            if word == "{":
                stack.append(("{", ""))
            elif word == "[":
                stack.append(("[", 0))
            else:
                pending = word
    return lines


def _path(stack: list[tuple[str, str | int]]) -> JsonPath:
    return tuple(step for _, step in stack)


def _find_line(lines: Mapping[JsonPath, int], where: JsonPath) -> int:
    """The line of the path, or of its nearest ancestor that the file has."""
    for length in range(len(where), 0, -1):
        if where[:length] in lines:
            return lines[where[:length]]
    return 1


def _check_document(document: Mapping[str, Any]) -> Iterator[tuple[JsonPath, str]]:
    for key in document:
        if key not in _KEYS:
            yield (key,), f"{key}: unknown key; a genesis has {', '.join(sorted(_KEYS))}"
    checks: tuple[tuple[str, Callable[[Any], object], str], ...] = (
        ("chain_id", _read_chain_id, "2 to 50 letters, digits and dashes, starting with a letter"),
        ("genesis_time", _read_time, "an RFC 3339 time, as 2026-01-02T03:04:05Z"),
        ("initial_height", _read_height, 'a text of an integer from 1, as "1"'),
        ("consensus_params", parse_consensus_params, "CometBFT's block, evidence, validator, abci"),
        ("app_state", _read_object, "an object with one key a module"),
    )
    for key, read, rule in checks:
        if key not in document and key in _OPTIONAL_KEYS:
            continue
        try:
            read(document[key])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            shown = json.dumps(document.get(key))[:80]
            yield (key,), f"{key}: {shown} must be {rule} ({type(error).__name__}: {error})"
    for index, validator in enumerate(document.get("validators") or ()):
        try:
            _read_validator(validator)
        except (KeyError, TypeError, ValueError) as error:
            yield ("validators", index), f"validators[{index}]: {error}"


def _read_chain_id(value: Any) -> str:
    if not isinstance(value, str) or not CHAIN_ID.fullmatch(value):
        raise ValueError("bad chain id")
    return value


def _read_time(value: Any) -> Timestamp:
    time = Timestamp()
    time.FromJsonString(value)
    return time


def _read_height(value: Any) -> int:
    height = int(value)
    if height < 1 or not isinstance(value, str):
        raise ValueError("bad height")
    return height


def _read_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _read_validator(value: Any) -> abci.ValidatorUpdate:
    key = base64.b64decode(value["pub_key"]["value"], validate=True)
    if value["pub_key"]["type"] != "tendermint/PubKeyEd25519" or len(key) != 32:
        raise ValueError("pub_key must be a 32-byte tendermint/PubKeyEd25519")
    address = value.get("address") or ""
    if address and bytes.fromhex(address) != compute_consensus_address(key):
        raise ValueError(f"address {address} is not the one of pub_key")
    power = int(value["power"])
    if power < 1:
        raise ValueError(f"power {power} must be above zero")
    return abci.ValidatorUpdate(pub_key=keys_pb2.PublicKey(ed25519=key), power=power)


def _check_app_state(
    document: Mapping[str, Any], chain_type: str, lines: Mapping[JsonPath, int]
) -> Iterator[tuple[JsonPath, str]]:
    """What InitChain of a fresh application says."""
    definition = CHAINS[chain_type]
    store = open_commit_store(None, definition.store_names)
    try:
        Application(definition, store).init_chain(
            abci.RequestInitChain(
                time=_read_time(document.get("genesis_time", _ANY_TIME)),
                chain_id=document["chain_id"],
                consensus_params=parse_consensus_params(document["consensus_params"]),
                validators=[_read_validator(v) for v in document.get("validators") or ()],
                app_state_bytes=json.dumps(document["app_state"]).encode(),
                initial_height=int(document.get("initial_height", "1")),
            )
        )
    except ChainError as error:
        yield _guess_path(str(error), lines), str(error)
    finally:
        store.close()


def _guess_path(reason: str, lines: Mapping[JsonPath, int]) -> JsonPath:
    """The path a refusal names: as app_state.…, and within it the field that did not parse."""
    match = _APP_PATH.search(reason)
    where: JsonPath = _steps(match[0]) if match else ("app_state",)
    if unknown := _NO_FIELD.search(reason):
        below = (*where, *_steps(unknown[2] or ""), unknown[1])
        if below in lines:
            return below
        return _deepest(lines, where, unknown[1])
    if fields := _BAD_FIELD.findall(reason):
        return _deepest(lines, where, fields[-1])
    return where


def _steps(path: str) -> JsonPath:
    return tuple(name or int(index) for name, index in _PATH_STEP.findall(path))


def _deepest(lines: Mapping[JsonPath, int], where: JsonPath, name: str) -> JsonPath:
    """The first path below `where` whose last step is the name, else `where`."""
    for path in lines:
        if path[: len(where)] == where and path[-1] == name:
            return path
    return where
