"""Proposals: submit, approve, reject, execute.

A proposal passes with `threshold` approvals, waits `execution_delay_ns`, and anyone may execute it.
It cannot pass any more, and is rejected, when so many members reject that the threshold is out of
reach; the guardian's word rejects it at once.
"""

from collections.abc import Sequence
from typing import Any

from chain._pb.margin.council.v1 import council_pb2
from chain.errors import ChainError
from chain.modules.council import state
from chain.modules.council.errors import (
    AlreadyVoted,
    InvalidProposal,
    NotExecutable,
    NotMember,
    ProposalNotOpen,
    TooManyProposals,
)
from chain.modules.council.types import OPEN_PROPOSALS_MAX, PROPOSAL_BYTES_MAX, TITLE_SIZE_MAX
from chain.runtime.context import Context
from chain.runtime.gas import OutOfGas
from chain.runtime.router import validate_nested_count


def handle_submit_proposal(
    ctx: Context, msg: council_pb2.MsgSubmitProposal
) -> council_pb2.MsgSubmitProposalResponse:
    """Open a proposal, which its proposer thereby approves.

    Each message must be known, canonical and signed by the council's authority alone. Raises
    NotMember, InvalidProposal, TooManyProposals, Unauthorized, UnknownRequest.
    """
    params = state.PARAMS.get(ctx)
    _require_member(params, msg.proposer)
    _validate_messages(ctx, msg)
    if len(state.get_live_ids(ctx)) >= OPEN_PROPOSALS_MAX:
        raise TooManyProposals(f"{OPEN_PROPOSALS_MAX} proposals are open; decide some first")
    proposal_id = state.get_next_id(ctx)
    state.set_next_id(ctx, proposal_id + 1)
    proposal = council_pb2.Proposal(
        id=proposal_id,
        proposer=msg.proposer,
        title=msg.title,
        messages=msg.messages,
        status=council_pb2.PROPOSAL_STATUS_OPEN,
        approvals=[msg.proposer],
        submitted_at_ns=ctx.time_ns,
        expires_at_ns=ctx.time_ns + params.voting_period_ns,
    )
    _apply_votes(ctx, params, proposal)
    state.set_proposal(ctx, proposal)
    ctx.emit("submit_proposal", {"proposal_id": proposal_id, "proposer": msg.proposer})
    return council_pb2.MsgSubmitProposalResponse(proposal_id=proposal_id)


def handle_approve(ctx: Context, msg: council_pb2.MsgApprove) -> council_pb2.MsgApproveResponse:
    """A member's approval; raises NotMember, UnknownProposal, ProposalNotOpen, AlreadyVoted."""
    params = state.PARAMS.get(ctx)
    _require_member(params, msg.member)
    proposal = _get_open(ctx, msg.proposal_id)
    _require_no_vote(proposal, msg.member)
    proposal.approvals.append(msg.member)
    _apply_votes(ctx, params, proposal)
    state.set_proposal(ctx, proposal)
    ctx.emit("approve_proposal", {"proposal_id": proposal.id, "member": msg.member})
    return council_pb2.MsgApproveResponse(status=proposal.status)


def handle_reject(ctx: Context, msg: council_pb2.MsgReject) -> council_pb2.MsgRejectResponse:
    """A member's rejection of an open proposal, or the guardian's of an open or passed one.

    Raises NotMember, UnknownProposal, ProposalNotOpen, AlreadyVoted.
    """
    params = state.PARAMS.get(ctx)
    if state.is_guardian(ctx, msg.member):
        proposal = state.get_proposal(ctx, msg.proposal_id)
        if proposal.id not in state.get_live_ids(ctx):
            raise ProposalNotOpen(f"proposal {proposal.id} is {_get_status_name(proposal)}")
        proposal.status = council_pb2.PROPOSAL_STATUS_REJECTED
    else:
        _require_member(params, msg.member)
        proposal = _get_open(ctx, msg.proposal_id)
        _require_no_vote(proposal, msg.member)
        proposal.rejections.append(msg.member)
        _apply_votes(ctx, params, proposal)
    state.set_proposal(ctx, proposal)
    ctx.emit("reject_proposal", {"proposal_id": proposal.id, "member": msg.member})
    return council_pb2.MsgRejectResponse(status=proposal.status)


def handle_execute(ctx: Context, msg: council_pb2.MsgExecute) -> council_pb2.MsgExecuteResponse:
    """Run a passed proposal's messages, all or none; a refusal marks it FAILED with the code.

    Raises UnknownProposal, NotExecutable, OutOfGas.
    """
    proposal = state.get_proposal(ctx, msg.proposal_id)
    if proposal.status != council_pb2.PROPOSAL_STATUS_PASSED:
        raise NotExecutable(f"proposal {proposal.id} is {_get_status_name(proposal)}")
    if ctx.time_ns < proposal.executable_at_ns:
        raise NotExecutable(
            f"proposal {proposal.id} can be executed from {proposal.executable_at_ns} ns on, "
            f"block time is {ctx.time_ns}"
        )
    assert ctx.router is not None, "messages run with a router"
    # Out of the live ones first: a message inside cannot execute the same proposal again.
    proposal.status = council_pb2.PROPOSAL_STATUS_EXECUTED
    state.set_proposal(ctx, proposal)
    try:
        with ctx.branch() as child:
            ctx.router.execute_nested(child, proposal.messages, state.get_authority(ctx))
    except OutOfGas:
        raise  # The executor's limit, not the proposal's fault: it stays executable.
    except ChainError as error:
        proposal.status = council_pb2.PROPOSAL_STATUS_FAILED
        proposal.failure_codespace = error.codespace
        proposal.failure_code = error.code
        state.set_proposal(ctx, proposal)
    ctx.emit("execute_proposal", {"proposal_id": proposal.id, "status": _get_status_name(proposal)})
    return council_pb2.MsgExecuteResponse(status=proposal.status)


def close_expired(ctx: Context) -> None:
    """End of block: open proposals past their voting period are EXPIRED (at most 64 are live)."""
    for proposal_id in state.get_live_ids(ctx):
        proposal = state.get_proposal(ctx, proposal_id)
        if (
            proposal.status == council_pb2.PROPOSAL_STATUS_OPEN
            and ctx.time_ns >= proposal.expires_at_ns
        ):
            proposal.status = council_pb2.PROPOSAL_STATUS_EXPIRED
            state.set_proposal(ctx, proposal)
            ctx.emit("expire_proposal", {"proposal_id": proposal_id})


def _validate_messages(ctx: Context, msg: Any) -> None:
    if len(msg.title) > TITLE_SIZE_MAX:
        raise InvalidProposal(f"title of {len(msg.title)} characters is above {TITLE_SIZE_MAX}")
    if msg.ByteSize() > PROPOSAL_BYTES_MAX:
        raise InvalidProposal(f"proposal of {msg.ByteSize()} bytes is above {PROPOSAL_BYTES_MAX}")
    validate_nested_count(len(msg.messages))
    assert ctx.router is not None, "messages run with a router"
    authority = state.get_authority(ctx)
    for packed in msg.messages:
        ctx.router.validate_nested(packed, authority)


def _require_member(params: Any, address: str) -> None:
    members: Sequence[str] = params.members
    if address not in members:
        raise NotMember(f"{address} is not one of the {len(members)} members")


def _require_no_vote(proposal: Any, member: str) -> None:
    if member in proposal.approvals or member in proposal.rejections:
        raise AlreadyVoted(f"{member} has voted on proposal {proposal.id}")


def _get_open(ctx: Context, proposal_id: int) -> council_pb2.Proposal:
    proposal = state.get_proposal(ctx, proposal_id)
    if proposal.status != council_pb2.PROPOSAL_STATUS_OPEN:
        raise ProposalNotOpen(f"proposal {proposal_id} is {_get_status_name(proposal)}")
    if ctx.time_ns >= proposal.expires_at_ns:
        raise ProposalNotOpen(f"the voting period of proposal {proposal_id} is over")
    return proposal


def _apply_votes(ctx: Context, params: Any, proposal: Any) -> None:
    """Decide an open proposal by the votes of those who are members now."""
    approvals = sum(1 for member in params.members if member in proposal.approvals)
    rejections = sum(1 for member in params.members if member in proposal.rejections)
    if approvals >= params.threshold:
        proposal.status = council_pb2.PROPOSAL_STATUS_PASSED
        proposal.executable_at_ns = ctx.time_ns + params.execution_delay_ns
    elif len(params.members) - rejections < params.threshold:
        proposal.status = council_pb2.PROPOSAL_STATUS_REJECTED


def _get_status_name(proposal: Any) -> str:
    name: str = council_pb2.ProposalStatus.Name(proposal.status)
    return name.removeprefix("PROPOSAL_STATUS_").lower()
