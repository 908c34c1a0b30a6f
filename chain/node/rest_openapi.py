"""The OpenAPI 3.1 document of the REST gateway, read off the protobuf descriptors."""

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from chain.node.rest_routes import ABSENT, RestRoute

_TEXT: Final = {"type": "string"}
_SPECIAL: Final[dict[str, dict[str, Any]]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "description": "seconds, like 1.5s"},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
    },
}
_SMALL_INTEGERS: Final = (
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_SINT32,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_SFIXED32,
)
_DEPTH_MAX: Final = 3


def build_document(routes: Iterable[RestRoute], version: str) -> dict[str, Any]:
    """The document: every route with its parameters, and every message it answers with."""
    schemas: dict[str, Any] = {"Error": _build_error()}
    paths: dict[str, Any] = {}
    for route in routes:
        path = route.path.replace(":path}", "}")
        paths.setdefault(path, {})[route.http_method.lower()] = _build_operation(route, schemas)
    for path in ABSENT:
        paths[path] = {
            "get": {
                "tags": ["absent"],
                "summary": "A module these chains do not have: an empty answer in its shape.",
                "responses": {"200": {"description": "empty"}},
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Margin chain REST gateway",
            "version": version,
            "description": "64-bit numbers are texts, bytes are base64. The header "
            "x-cosmos-block-height asks for an earlier height.",
        },
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _build_error() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "code": {"type": "integer", "description": "the gRPC status"},
            "message": _TEXT,
            "details": {"type": "array", "items": {}},
        },
    }


def _build_operation(route: RestRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    info = route.method
    operation: dict[str, Any] = {
        "tags": [info.path[1:].split("/")[0]],
        "summary": info.path[1:],
        "operationId": f"{route.http_method} {route.path}",
        "responses": {
            "200": _describe("the answer", _reference(info.response, schemas)),
            "default": _describe("a refusal", {"$ref": "#/components/schemas/Error"}),
        },
    }
    if route.http_method == "POST":
        body = _describe("", _reference(info.request, schemas))
        operation["requestBody"] = {"required": True, "content": body["content"]}
    else:
        names = [part.strip("{}").removesuffix(":path") for part in route.path.split("/")]
        operation["parameters"] = list(_build_parameters(info.request, names))
    return operation


def _describe(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _build_parameters(
    descriptor: Descriptor, in_path: list[str], prefix: str = "", depth: int = 0
) -> Iterable[dict[str, Any]]:
    """Every field that a query text can carry, nested ones with dots."""
    for field in descriptor.fields:
        name = prefix + field.name
        if field.message_type is not None:
            is_plain = field.message_type.full_name not in _SPECIAL
            if depth < _DEPTH_MAX and not field.is_repeated and is_plain:
                yield from _build_parameters(field.message_type, in_path, f"{name}.", depth + 1)
            continue
        is_in_path = name in in_path
        schema = _build_scalar(field)
        yield {
            "name": name,
            "in": "path" if is_in_path else "query",
            "required": is_in_path,
            "schema": {"type": "array", "items": schema} if field.is_repeated else schema,
        }


def _build_scalar(field: FieldDescriptor) -> dict[str, Any]:
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type in _SMALL_INTEGERS:
        return {"type": "integer"}
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "format": "byte"}
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if field.type == FieldDescriptor.TYPE_STRING:
        return _TEXT
    return {"type": "string", "format": "int64"}


def _reference(descriptor: Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    """A reference to a message's schema, which is added with all it mentions; never recurses."""
    waiting = [descriptor]
    while waiting:
        message = waiting.pop()
        if message.full_name in schemas or message.full_name in _SPECIAL:
            continue
        properties = {}
        for field in message.fields:
            if field.message_type is not None:
                waiting.append(field.message_type)
            properties[field.name] = _build_property(field)
        schemas[message.full_name] = {"type": "object", "properties": properties}
    return _point(descriptor)


def _point(descriptor: Descriptor) -> dict[str, Any]:
    if descriptor.full_name in _SPECIAL:
        return _SPECIAL[descriptor.full_name]
    return {"$ref": f"#/components/schemas/{descriptor.full_name}"}


def _build_property(field: FieldDescriptor) -> dict[str, Any]:
    message = field.message_type
    schema = _build_scalar(field) if message is None else _point(message)
    return {"type": "array", "items": schema} if field.is_repeated else schema
