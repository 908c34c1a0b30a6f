"""What the queries of all IBC rooms share: absence as NOT_FOUND, and the query tables."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from chain.ibc.errors import (
    AcknowledgementNotFound,
    ChannelNotFound,
    ClientConnectionsNotFound,
    ClientNotFound,
    ConnectionNotFound,
    ConsensusStateNotFound,
    InvalidMessage,
    PacketCommitmentNotFound,
)
from chain.runtime.errors import NotFound
from chain.runtime.module import Handler, MessageRoute, QueryHandler, QueryRoute

SEQUENCES_MAX: Final = 10_000
"""Most packet sequences one query may ask about."""

_ABSENT: Final = (
    AcknowledgementNotFound,
    ChannelNotFound,
    ClientConnectionsNotFound,
    ClientNotFound,
    ConnectionNotFound,
    ConsensusStateNotFound,
    PacketCommitmentNotFound,
)


@contextmanager
def answer_not_found() -> Iterator[None]:
    """Within it, what does not exist is refused as NotFound, which clients see as NOT_FOUND."""
    try:
        yield
    except _ABSENT as error:
        raise NotFound(str(error)) from None


def validate_sequences(count: int) -> None:
    """Raises InvalidMessage when a query asks about too many packets."""
    if count > SEQUENCES_MAX:
        raise InvalidMessage(f"{count} sequences asked, at most {SEQUENCES_MAX} are answered")


def build_query_routes(
    service: ServiceDescriptor, handlers: Mapping[str, QueryHandler]
) -> tuple[QueryRoute, ...]:
    """The routes of every method of a Query service; each must have a handler."""
    methods = [method.name for method in service.methods]
    assert sorted(methods) == sorted(handlers), f"{service.full_name}: {methods} != {handlers}"
    return tuple(
        QueryRoute(
            path=f"/{service.full_name}/{method.name}",
            request=GetMessageClass(method.input_type),
            response=GetMessageClass(method.output_type),
            handler=handlers[method.name],
        )
        for method in service.methods
    )


def build_message_routes(
    service: ServiceDescriptor, handlers: Mapping[str, Handler]
) -> tuple[MessageRoute, ...]:
    """The routes of every method of a Msg service; the field `signer` names who signed."""
    methods = [method.name for method in service.methods]
    assert sorted(methods) == sorted(handlers), f"{service.full_name}: {methods} != {handlers}"
    return tuple(
        MessageRoute(
            request=GetMessageClass(method.input_type),
            handler=handlers[method.name],
            signer_field="signer",
        )
        for method in service.methods
    )
