"""Queries of validators and evidence."""

from chain._pb.margin.validators.v1 import validators_pb2
from chain.modules.validators import state
from chain.runtime.context import Context
from chain.runtime.errors import NotFound
from chain.runtime.pagination import get_page


def query_validators(
    ctx: Context, request: validators_pb2.QueryValidatorsRequest
) -> validators_pb2.QueryValidatorsResponse:
    """All validators by address, those of power 0 too, paged."""
    rows, page = get_page(ctx.kv(state.STORE), state.VALIDATOR_PREFIX, request.pagination)
    return validators_pb2.QueryValidatorsResponse(
        validators=[validators_pb2.Validator.FromString(data) for _, data in rows],
        pagination=page,
    )


def query_validator(
    ctx: Context, request: validators_pb2.QueryValidatorRequest
) -> validators_pb2.QueryValidatorResponse:
    """The validator with a 20-byte consensus address; raises NotFound."""
    validator = state.get_validator(ctx, request.address)
    if validator is None:
        raise NotFound(f"validator {request.address.hex()}")
    return validators_pb2.QueryValidatorResponse(validator=validator)


def query_evidence(
    ctx: Context, request: validators_pb2.QueryEvidenceRequest
) -> validators_pb2.QueryEvidenceResponse:
    """Recorded evidence by height of the offence, paged."""
    rows, page = get_page(ctx.kv(state.STORE), state.EVIDENCE_PREFIX, request.pagination)
    return validators_pb2.QueryEvidenceResponse(
        evidence=[validators_pb2.EvidenceRecord.FromString(data) for _, data in rows],
        pagination=page,
    )
