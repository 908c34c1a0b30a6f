"""Genesis documents: strict JSON in, deterministic JSON out; unknown keys are refused by path."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message

from chain._pb.tendermint.types import params_pb2
from chain.errors import ChainError
from chain.runtime import consensus
from chain.runtime.context import Context
from chain.runtime.definition import ChainDefinition
from chain.runtime.errors import InvalidGenesis
from chain.runtime.module import Module
from chain.units import parse_nonnegative

_JSON_DEPTH_MAX: Final = 64
_BRACKET: Final = re.compile(rb"[\[\]{}]")


def parse_app_state(definition: ChainDefinition, data: bytes) -> dict[str, Message]:
    """Each module's genesis message; raises InvalidGenesis naming the JSON path.

    A module without a part gets its default.
    """
    document = _load_json(data)
    known = {module.name: module for module in definition.modules if module.genesis is not None}
    for name in document:
        if name not in known:
            raise InvalidGenesis(
                f"app_state.{name}: no such module; {definition.name} has "
                f"{', '.join(sorted(known))}"
            )
    return {
        name: parse_module_genesis(module, document[name])
        if name in document
        else build_default_genesis(module)
        for name, module in known.items()
    }


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise InvalidGenesis(f"app_state: key {double!r} stands twice in one object")
    return document


def _load_json(data: bytes) -> dict[str, Any]:
    depth = deepest = 0
    for found in _BRACKET.finditer(data):
        depth += 1 if found[0] in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > _JSON_DEPTH_MAX:
        raise InvalidGenesis(f"app_state nests deeper than {_JSON_DEPTH_MAX} levels")
    try:
        document = json.loads(data or b"{}", object_pairs_hook=_refuse_doubles)
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidGenesis(f"app_state is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidGenesis("app_state must be an object with one key per module")
    return document


def build_default_genesis(module: Module) -> Message:
    """What the module's part means when a genesis leaves it out."""
    assert module.genesis is not None
    return module.default_genesis() if module.default_genesis else module.genesis()


def parse_module_genesis(module: Module, part: Any) -> Message:
    """One module's genesis from its JSON value; raises InvalidGenesis."""
    assert module.genesis is not None
    try:
        genesis = json_format.ParseDict(part, module.genesis())
    except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
        raise InvalidGenesis(f"app_state.{module.name}: {error}") from None
    for field, value in genesis.ListFields():
        if field.message_type is not None and field.is_repeated:
            for index, item in enumerate(value):
                require_content(item, f"app_state.{module.name}.{field.name}[{index}]")
    return genesis


def fill_amounts(message: Message, *names: str) -> None:
    """Write out the amounts that a genesis leaves out: each is zero. Raises InvalidAmount.

    For what is read in every block, where no text may be empty.
    """
    for name in names:
        setattr(message, name, str(parse_nonnegative(getattr(message, name), name)))


def require_content(message: Message, path: str) -> None:
    """Raise InvalidGenesis when a message states nothing, which no store can hold."""
    if not message.ByteSize():
        raise InvalidGenesis(f"{path} is empty; state its fields or leave it out")


def init_modules(ctx: Context, definition: ChainDefinition, parts: Mapping[str, Message]) -> None:
    """Give each module its part, in the chain's order; a refusal names the module."""
    for module in definition.modules:
        if module.init_genesis is not None:
            try:
                module.init_genesis(ctx, parts.get(module.name))
            except InvalidGenesis:
                raise
            except ChainError as error:
                raise InvalidGenesis(f"app_state.{module.name}: {error}") from error


def export_app_state(ctx: Context, definition: ChainDefinition) -> dict[str, Any]:
    """Every module's state as a genesis would state it."""
    return {
        module.name: to_json(module.export_genesis(ctx))
        for module in definition.modules
        if module.export_genesis is not None
    }


def build_default_app_state(definition: ChainDefinition) -> dict[str, Any]:
    """The app_state that `init` writes."""
    return {
        module.name: to_json(build_default_genesis(module))
        for module in definition.modules
        if module.genesis is not None
    }


def to_json(message: Message) -> Any:
    """The protobuf JSON of a message with proto field names and defaults printed."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def build_genesis_document(ctx: Context, definition: ChainDefinition) -> dict[str, Any]:
    """A CometBFT genesis document that starts a chain with this state at the next height."""
    return {
        "chain_id": ctx.chain_id,
        "initial_height": str(ctx.height + 1),
        "consensus_params": _build_consensus_params_json(consensus.get_params(ctx)),
        "app_state": export_app_state(ctx, definition),
    }


def _build_consensus_params_json(params: params_pb2.ConsensusParams) -> dict[str, Any]:
    """Consensus parameters in CometBFT's own JSON: 64-bit numbers as text, durations as ns."""
    duration = params.evidence.max_age_duration
    return {
        "block": {
            "max_bytes": str(params.block.max_bytes),
            "max_gas": str(params.block.max_gas),
        },
        "evidence": {
            "max_age_num_blocks": str(params.evidence.max_age_num_blocks),
            "max_age_duration": str(duration.seconds * 1_000_000_000 + duration.nanos),
            "max_bytes": str(params.evidence.max_bytes),
        },
        "validator": {"pub_key_types": list(params.validator.pub_key_types)},
        "version": {"app": str(params.version.app)},
        "abci": {"vote_extensions_enable_height": str(params.abci.vote_extensions_enable_height)},
    }


def encode_genesis(document: Mapping[str, Any]) -> bytes:
    """The document's bytes: sorted keys, so that equal states give equal files."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"
