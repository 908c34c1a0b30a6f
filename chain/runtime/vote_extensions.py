"""The extended commit at the head of a block: how prices of validators reach the state machine.

The proposer puts the previous height's extended commit first. Everybody verifies its signatures and
power against the validators of that height and its votes against the commit CometBFT proposes, or
the proposer could choose the votes.
"""

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from chain._pb.margin.runtime.v1 import runtime_pb2
from chain._pb.tendermint.types import validator_pb2
from chain.errors import ChainError
from chain.lightclient.ed25519 import verify_signature
from chain.lightclient.encoding import encode_vote_extension_sign_bytes
from chain.runtime.definition import SetMember
from chain.runtime.module import Vote

MARKER: Final = b"\x00margin.runtime.v1.InjectedCommit\x00"
"""Opens the item. Field number 0 is no protobuf, so that no transaction begins like this."""
INJECTED_BYTES_MAX: Final = 4 << 20
_COMMIT: Final = validator_pb2.BLOCK_ID_FLAG_COMMIT


class InvalidInjectedCommit(ChainError):
    """An extended commit that its block may not carry."""

    codespace = "runtime"
    code = 5
    summary = "invalid injected commit"


def is_injected_commit(item: bytes) -> bool:
    """Whether a block's item claims to be an extended commit."""
    return item.startswith(MARKER)


def encode_injected_commit(extended_commit: Any) -> bytes:
    """The first item of a block."""
    injected = runtime_pb2.InjectedCommit(extended_commit=extended_commit)
    return MARKER + bytes(injected.SerializeToString(deterministic=True))


def decode_injected_commit(item: bytes) -> Any:
    """The tendermint.abci.ExtendedCommitInfo; raises InvalidInjectedCommit unless canonical."""
    if len(item) > INJECTED_BYTES_MAX:
        raise InvalidInjectedCommit(f"{len(item)} bytes are above {INJECTED_BYTES_MAX}")
    injected = runtime_pb2.InjectedCommit()
    body = item[len(MARKER) :]
    try:
        injected.ParseFromString(body)
    except DecodeError:
        raise InvalidInjectedCommit("not protobuf") from None
    injected.DiscardUnknownFields()
    if injected.SerializeToString(deterministic=True) != body:
        raise InvalidInjectedCommit("not in canonical form")
    if not injected.HasField("extended_commit"):
        raise InvalidInjectedCommit("no extended commit inside")
    return injected.extended_commit


def validate_injected_commit(
    extended: Any, proposed: Any, chain_id: str, height: int, members: Sequence[SetMember]
) -> None:
    """Raises InvalidInjectedCommit unless the votes are those of `proposed` and signed.

    `height` is the height voted for (the block's own minus one), `members` its validator set. Cheap
    checks first; verification stops at the first bad signature.
    """
    if extended.round != proposed.round or len(extended.votes) != len(proposed.votes):
        raise InvalidInjectedCommit("round or number of votes differ from the proposed last commit")
    keys = {member.address: member for member in members}
    total = sum(member.power for member in members)
    power = 0
    for vote, base in zip(extended.votes, proposed.votes, strict=True):
        if (
            vote.validator.address != base.validator.address
            or vote.validator.power != base.validator.power
            or vote.block_id_flag != base.block_id_flag
        ):
            raise InvalidInjectedCommit(
                f"vote of {vote.validator.address.hex()} differs from the proposed last commit"
            )
        member = keys.pop(vote.validator.address, None)
        if member is None or member.power != vote.validator.power:
            raise InvalidInjectedCommit(
                f"{vote.validator.address.hex()} votes twice or is not a validator of {height}"
            )
        if vote.block_id_flag == _COMMIT:
            power += member.power
        elif vote.vote_extension or vote.extension_signature:
            raise InvalidInjectedCommit("an extension without a vote for the block")
    if 3 * power <= 2 * total:
        raise InvalidInjectedCommit(f"votes of power {power} are not above 2/3 of {total}")
    public_keys = {member.address: member.public_key for member in members}
    for vote in extended.votes:
        if vote.block_id_flag == _COMMIT and not verify_signature(
            public_keys[vote.validator.address],
            encode_vote_extension_sign_bytes(chain_id, height, extended.round, vote.vote_extension),
            vote.extension_signature,
        ):
            raise InvalidInjectedCommit(
                f"signature of {vote.validator.address.hex()} over its extension is wrong"
            )


def get_votes(extended: Any) -> list[Vote]:
    """The votes for the module that uses them, in the order of the validator set."""
    return [
        Vote(vote.validator.address, vote.validator.power, vote.vote_extension)
        for vote in extended.votes
    ]
