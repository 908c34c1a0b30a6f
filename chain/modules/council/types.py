"""The council's parameters, bounds and address."""

from typing import Any, Final

from chain._pb.margin.council.v1 import council_pb2
from chain.modules.auth.types import module_address
from chain.modules.council.errors import InvalidCouncil
from chain.runtime.address import decode_address
from chain.units import Address, require_range

MODULE_ACCOUNT: Final = "council"
MEMBERS_MAX: Final = 64
TITLE_SIZE_MAX: Final = 256
PROPOSAL_BYTES_MAX: Final = 1 << 16
OPEN_PROPOSALS_MAX: Final = 64
_YEAR_NS: Final = 31_536_000 * 10**9
_DAY_NS: Final = 86_400 * 10**9


def authority_address() -> Address:
    """The address that signs what the council decided."""
    return module_address(MODULE_ACCOUNT)


def build_default_params() -> council_pb2.Params:
    """A council without members: nothing can be decided until a genesis names some."""
    return council_pb2.Params(voting_period_ns=7 * _DAY_NS)


def validate_params(params: Any) -> None:
    """Raises InvalidCouncil, InvalidAddress or OutOfRange."""
    members = list(params.members)
    require_range(len(members), 0, MEMBERS_MAX, "council members")
    for index, member in enumerate(members):
        decode_address(member, f"members[{index}]")
    if len(dict.fromkeys(members)) != len(members):
        raise InvalidCouncil("a member stands twice")
    if members and not 1 <= params.threshold <= len(members):
        raise InvalidCouncil(
            f"threshold {params.threshold} must lie within 1 and {len(members)}, the members"
        )
    if params.guardian:
        decode_address(params.guardian, "guardian")
    require_range(params.execution_delay_ns, 0, _YEAR_NS, "execution_delay_ns")
    require_range(params.voting_period_ns, 1, _YEAR_NS, "voting_period_ns")
