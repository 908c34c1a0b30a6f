"""The registry of everything that can be sent or asked, read from the protobuf descriptors.

Services named `Msg` hold the messages of transactions; all others hold queries. From them come the
generic commands, JSON forms and gRPC calls, so that a new module needs no line of client code.
"""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message

import chain._pb
from chain.client.errors import InvalidField, NotFound
from chain.client.transaction import pack_any

NESTING_MAX: Final = 32
"""Depth of JSON and messages that the registry reads."""
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """One rpc: module and name as commands spell them, full gRPC path, descriptors of its types."""

    module: str
    name: str
    path: str
    request: Descriptor
    response: Descriptor

    def new_request(self) -> Message:
        """An empty request."""
        return message_class(self.request)()


@cache
def load_files() -> tuple[FileDescriptor, ...]:
    """Descriptors of all protobuf files of the program, imported on first use."""
    folder = chain._pb.__path__  # noqa: SLF001 - private to this project, which includes us
    found = [
        importlib.import_module(module.name).DESCRIPTOR
        for module in pkgutil.walk_packages(folder, "chain._pb.")
        if module.name.endswith("_pb2")
    ]
    return tuple(sorted(found, key=lambda file: file.name))


@cache
def get_transaction_methods() -> Mapping[str, Mapping[str, MethodInfo]]:
    """Module → kebab-case message name without `msg-` → its rpc, for every service `Msg`."""
    return _collect(is_transaction=True)


@cache
def get_query_methods() -> Mapping[str, Mapping[str, MethodInfo]]:
    """Module → kebab-case rpc name → the rpc, for every other service."""
    return _collect(is_transaction=False)


@cache
def get_methods_by_path() -> Mapping[str, MethodInfo]:
    """Full gRPC method path → the rpc, queries and messages alike."""
    tables = (*get_transaction_methods().values(), *get_query_methods().values())
    return {info.path: info for table in tables for info in table.values()}


def find_method(
    table: Mapping[str, Mapping[str, MethodInfo]], module: str, name: str
) -> MethodInfo:
    """The rpc of a module by its kebab-case name; raises NotFound that lists the choices."""
    if module not in table:
        raise NotFound(f"no module {module!r}; modules: {', '.join(table)}")
    if name not in table[module]:
        raise NotFound(f"module {module} has no {name!r}; it has: {', '.join(table[module])}")
    return table[module][name]


def message_class(descriptor: Descriptor) -> type[Message]:
    """The Python class of a message type."""
    found: type[Message] = message_factory.GetMessageClass(descriptor)
    return found


def find_message_class(type_url: str) -> type[Message]:
    """The Python class behind a type URL or full name; raises NotFound."""
    load_files()
    name = type_url.rsplit("/", 1)[-1]
    try:
        return message_class(descriptor_pool.Default().FindMessageTypeByName(name))
    except KeyError as error:
        raise NotFound(f"no message type {name!r}; spell its full protobuf name") from error


def unpack_any(packed: AnyMessage) -> Message:
    """The message inside an Any; raises NotFound (type) or InvalidField (bytes)."""
    message = find_message_class(packed.type_url)()
    try:
        message.ParseFromString(packed.value)
    except DecodeError as error:
        raise InvalidField(f"{packed.type_url} does not decode: {error}") from error
    return message


def to_json(message: Message) -> dict[str, Any]:
    """The JSON form of a message: original field names, unset fields shown, 64-bit as texts."""
    load_files()
    document: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return document


def from_json(document: Mapping[str, Any], target: Message) -> Message:
    """The target filled from its JSON form; raises InvalidField for unknown keys and bad values."""
    load_files()
    try:
        json_format.ParseDict(dict(document), target, max_recursion_depth=NESTING_MAX)
    except (json_format.ParseError, RecursionError) as error:
        raise InvalidField(f"{target.DESCRIPTOR.full_name}: {error}") from error
    return target


def any_from_json(document: Mapping[str, Any]) -> AnyMessage:
    """The Any of a JSON object whose `@type` names its message, as `/full.name` or full name."""
    body = dict(document)
    type_url = body.pop("@type", None)
    if not isinstance(type_url, str):
        raise InvalidField('a message in JSON needs "@type": "/package.Message"')
    return pack_any(from_json(body, find_message_class(type_url)()))


def kebab(name: str) -> str:
    """`MsgPlaceOrder` → `msg-place-order`."""
    return _WORD_START.sub("-", name).lower()


def module_name(package: str) -> str:
    """The module a package belongs to as commands spell it, e.g. `margin.vault.v1` → `vault`."""
    parts = [part for part in package.split(".") if not re.fullmatch(r"v\d+(beta\d+)?", part)]
    return f"ibc-{parts[-1]}" if parts[0] == "ibc" else parts[-1]


def _collect(*, is_transaction: bool) -> dict[str, dict[str, MethodInfo]]:
    services = [
        service
        for file in load_files()
        for service in file.services_by_name.values()
        if (service.name == "Msg") == is_transaction
    ]
    result: dict[str, dict[str, MethodInfo]] = {}
    owners: dict[str, str] = {}
    # Our own packages take the short name; another package of the same name is told apart.
    for service in sorted(
        services, key=lambda s: (not s.full_name.startswith("margin."), s.full_name)
    ):
        package = service.file.package
        module = module_name(package)
        if owners.setdefault(module, package) != package:
            module = f"{package.split('.')[0]}-{module}"
        table = result.setdefault(module, {})
        for method in service.methods:
            info = _method_info(module, service.full_name, method, is_transaction=is_transaction)
            table[info.name] = info
    return {module: dict(sorted(table.items())) for module, table in sorted(result.items())}


def _method_info(
    module: str, service: str, method: MethodDescriptor, *, is_transaction: bool
) -> MethodInfo:
    name = kebab(method.name)
    return MethodInfo(
        module=module,
        name=name.removeprefix("msg-") if is_transaction else name,
        path=f"/{service}/{method.name}",
        request=method.input_type,
        response=method.output_type,
    )
