"""The message router: who handles a message, who must have signed it, and its run in a branch."""

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf import any_pb2
from google.protobuf.message import Message

from chain.runtime.codec import Codec, compute_type_url
from chain.runtime.context import Context
from chain.runtime.errors import InvalidRequest, Unauthorized, UnknownRequest
from chain.runtime.module import MessageRoute, Module, QueryRoute

NESTED_MESSAGES_MAX: Final = 32
"""Most messages that one message may carry for execution."""


def get_signers(route: MessageRoute, message: Message) -> tuple[str, ...]:
    """The addresses that must sign the message, each once, in order of appearance."""
    if "." not in route.signer_field:
        return (getattr(message, route.signer_field),)
    found: list[Any] = [message]
    for name in route.signer_field.split("."):
        below: list[Any] = []
        for item in found:
            value = getattr(item, name)
            if isinstance(value, str) or hasattr(value, "DESCRIPTOR"):
                below.append(value)
            else:
                below.extend(value)
        found = below
    return tuple(dict.fromkeys(found))


class Router:
    """Routes of messages and queries of all modules of a chain, and the codec that knows their
    types.
    """

    def __init__(
        self, modules: Iterable[Module], extra_types: Iterable[type[Message]] = ()
    ) -> None:
        self.messages: dict[str, MessageRoute] = {}
        self.queries: dict[str, QueryRoute] = {}
        self._modules: dict[str, str] = {}
        types: list[type[Message]] = list(extra_types)
        for module in modules:
            for route in module.messages:
                type_url = compute_type_url(route.request)
                assert type_url not in self.messages, f"two handlers of {type_url}"
                self.messages[type_url] = route
                self._modules[type_url] = module.name
                types.append(route.request)
            for query in module.queries:
                assert query.path not in self.queries, f"two handlers of {query.path}"
                self.queries[query.path] = query
            types.extend(module.any_types)
        self.codec = Codec(types)

    def get_route(self, type_url: str) -> MessageRoute:
        """The route of a message type; raises UnknownRequest."""
        route = self.messages.get(type_url)
        if route is None:
            raise UnknownRequest(f"no handler for message {type_url[:200]}")
        return route

    def get_module_name(self, type_url: str) -> str:
        """The name of the module that handles the message type."""
        return self._modules[type_url]

    def execute_nested(self, ctx: Context, packed: Iterable[Any], signer: str) -> list[any_pb2.Any]:
        """Run messages carried by another message, all signed by `signer`, in the caller's branch.

        The same checks as for a transaction's own messages hold: a known type, canonical bytes, and
        every signer a message names must be `signer`. Returns the packed responses.
        """
        responses = []
        for item in packed:
            route, message = self.validate_nested(item, signer)
            with ctx.branch() as child:
                responses.append(pack(route.handler(child, message)))
        return responses

    def validate_nested(self, packed: Any, signer: str) -> tuple[MessageRoute, Message]:
        """The route and body of a carried message; raises when it is unknown or not signed by
        `signer`.
        """
        route = self.get_route(packed.type_url)
        message = self.codec.unpack(packed)
        signers = get_signers(route, message)
        if signers != (signer,):
            raise Unauthorized(
                f"{packed.type_url} must be signed by {', '.join(signers) or 'somebody'}, "
                f"not {signer}"
            )
        return route, message


def validate_nested_count(count: int) -> None:
    """Raises InvalidRequest unless a message carries between one and NESTED_MESSAGES_MAX
    messages.
    """
    if not 1 <= count <= NESTED_MESSAGES_MAX:
        raise InvalidRequest(f"{count} messages carried; allowed are 1 to {NESTED_MESSAGES_MAX}")


def pack(message: Message) -> any_pb2.Any:
    """The message in an Any with the type URL Cosmos clients expect."""
    return any_pb2.Any(
        type_url=compute_type_url(type(message)),
        value=message.SerializeToString(deterministic=True),
    )
