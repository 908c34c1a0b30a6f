"""The council: thresholds, delays, the guardian; wrapping a message lifts no check."""

from typing import Any

import pytest
from google.protobuf.message import Message

from chain._pb.cosmos.bank.v1beta1 import bank_pb2
from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx_pb2
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.margin.council.v1 import council_pb2
from chain._pb.margin.params.v1 import params_pb2
from chain.modules.bank import state as bank_state
from chain.modules.council import authority_address
from chain.runtime.router import pack
from tests.support.testchain import DENOM, Account, TestChain

HOUR_NS = 3_600 * 10**9
NAMES = ("alice", "bob", "carol")


@pytest.fixture
def chain() -> TestChain:
    members = [Account.named(name).address for name in NAMES]
    chain = TestChain(
        accounts={name: {DENOM: 10**9} for name in (*NAMES, "guardian", "dave")},
        app_state={
            "council": {
                "params": {
                    "members": members,
                    "threshold": 2,
                    "execution_delay_ns": str(HOUR_NS),
                    "voting_period_ns": str(24 * HOUR_NS),
                    "guardian": Account.named("guardian").address,
                }
            }
        },
    )
    chain.next_block()
    return chain


def disable_sends() -> params_pb2.MsgUpdateParams:
    return params_pb2.MsgUpdateParams(
        authority=authority_address(),
        module="bank",
        params=pack(bank_pb2.Params(default_send_enabled=False)),
    )


def submit(chain: TestChain, *messages: Message, by: str = "alice") -> Any:
    return chain.send(
        council_pb2.MsgSubmitProposal(
            proposer=chain.account(by).address, title="t", messages=[pack(m) for m in messages]
        ),
        by,
    )


def approve(chain: TestChain, by: str, proposal_id: int = 1) -> Any:
    return chain.send(
        council_pb2.MsgApprove(member=chain.account(by).address, proposal_id=proposal_id), by
    )


def reject(chain: TestChain, by: str, proposal_id: int = 1) -> Any:
    return chain.send(
        council_pb2.MsgReject(member=chain.account(by).address, proposal_id=proposal_id), by
    )


def execute(chain: TestChain, by: str = "dave", proposal_id: int = 1) -> Any:
    return chain.send(
        council_pb2.MsgExecute(executor=chain.account(by).address, proposal_id=proposal_id), by
    )


def get_status(chain: TestChain, proposal_id: int = 1) -> int:
    response = chain.query(
        "/margin.council.v1.Query/Proposal",
        council_pb2.QueryProposalRequest(proposal_id=proposal_id),
        council_pb2.QueryProposalResponse,
    )
    status: int = response.proposal.status
    return status


def test_two_of_three_after_the_delay(chain: TestChain) -> None:
    assert submit(chain, disable_sends()).code == 0
    assert get_status(chain) == council_pb2.PROPOSAL_STATUS_OPEN
    assert execute(chain).code == 7
    assert approve(chain, "bob").code == 0
    assert get_status(chain) == council_pb2.PROPOSAL_STATUS_PASSED
    early = execute(chain)
    assert (early.codespace, early.code) == ("council", 7)
    chain.advance(HOUR_NS)
    assert execute(chain).code == 0
    assert get_status(chain) == council_pb2.PROPOSAL_STATUS_EXECUTED
    assert not bank_state.PARAMS.get(chain.read_context()).default_send_enabled
    assert execute(chain).code == 7
    send = bank_tx_pb2.MsgSend(
        from_address=chain.accounts["alice"].address,
        to_address=chain.accounts["bob"].address,
        amount=[coin_pb2.Coin(denom=DENOM, amount="1")],
    )
    refused = chain.send(send)
    assert (refused.codespace, refused.code) == ("bank", 5)


def test_outsiders_and_second_votes(chain: TestChain) -> None:
    assert submit(chain, disable_sends(), by="dave").code == 3
    assert submit(chain, disable_sends()).code == 0
    assert approve(chain, "dave").code == 3
    assert approve(chain, "alice").code == 6
    assert reject(chain, "alice").code == 6
    assert approve(chain, "bob", proposal_id=2).code == 4
    assert approve(chain, "bob").code == 0
    assert approve(chain, "carol").code == 5


def test_rejection_when_the_threshold_is_out_of_reach(chain: TestChain) -> None:
    submit(chain, disable_sends())
    assert reject(chain, "bob").code == 0
    assert get_status(chain) == council_pb2.PROPOSAL_STATUS_OPEN
    assert reject(chain, "carol").code == 0
    assert get_status(chain) == council_pb2.PROPOSAL_STATUS_REJECTED


def test_guardian_stops_a_passed_proposal(chain: TestChain) -> None:
    submit(chain, disable_sends())
    approve(chain, "bob")
    assert reject(chain, "guardian").code == 0
    chain.advance(HOUR_NS)
    assert execute(chain).code == 7
    assert approve(chain, "guardian").code == 3


def test_expiry(chain: TestChain) -> None:
    submit(chain, disable_sends())
    chain.advance(24 * HOUR_NS)
    assert approve(chain, "bob").code == 5
    assert get_status(chain) == council_pb2.PROPOSAL_STATUS_EXPIRED


def test_failing_messages_leave_nothing_but_the_code(chain: TestChain) -> None:
    bad = params_pb2.MsgUpdateParams(
        authority=authority_address(), module="bank", params=pack(council_pb2.Params())
    )
    submit(chain, disable_sends(), bad)
    approve(chain, "bob")
    chain.advance(HOUR_NS)
    assert execute(chain).code == 0
    proposal = chain.query(
        "/margin.council.v1.Query/Proposal",
        council_pb2.QueryProposalRequest(proposal_id=1),
        council_pb2.QueryProposalResponse,
    ).proposal
    assert proposal.status == council_pb2.PROPOSAL_STATUS_FAILED
    assert (proposal.failure_codespace, proposal.failure_code) == ("params", 3)
    assert bank_state.PARAMS.get(chain.read_context()).default_send_enabled


def test_wrapped_messages_meet_the_same_refusals(chain: TestChain) -> None:
    """Elderflower: wrapping must not lift a check."""
    send = bank_tx_pb2.MsgSend(
        from_address=chain.accounts["bob"].address,
        to_address=chain.accounts["alice"].address,
        amount=[coin_pb2.Coin(denom=DENOM, amount="1")],
    )
    refused = submit(chain, send)
    assert (refused.codespace, refused.code) == ("sdk", 4)
    nested = council_pb2.MsgSubmitProposal(
        proposer=chain.accounts["alice"].address, messages=[pack(send)]
    )
    assert submit(chain, nested).code == 4
    by_authority = council_pb2.MsgSubmitProposal(
        proposer=authority_address(), messages=[pack(disable_sends())]
    )
    assert submit(chain, by_authority).code == 0  # Refused when it runs: no member.
    approve(chain, "bob")
    chain.advance(HOUR_NS)
    execute(chain)
    assert get_status(chain) == council_pb2.PROPOSAL_STATUS_FAILED


def test_only_the_council_updates_params(chain: TestChain) -> None:
    message = disable_sends()
    message.authority = chain.accounts["alice"].address
    refused = chain.send(message)
    assert (refused.codespace, refused.code) == ("council", 2)
    forged = disable_sends()
    assert chain.send(forged).code == 9  # A module's account has no key and no sequence.


def test_bounds(chain: TestChain) -> None:
    assert submit(chain).code == 18
    assert submit(chain, *[disable_sends()] * 33).code == 18
    for _ in range(64):
        assert submit(chain, disable_sends()).code == 0
    assert submit(chain, disable_sends()).code == 10


def test_council_may_replace_itself(chain: TestChain) -> None:
    params = council_pb2.Params(
        members=[chain.accounts["dave"].address], threshold=1, voting_period_ns=HOUR_NS
    )
    message = params_pb2.MsgUpdateParams(
        authority=authority_address(), module="council", params=pack(params)
    )
    chain.decide(message, members=("alice", "bob"))
    assert submit(chain, disable_sends()).code == 3
    chain.decide(disable_sends(), members=("dave",))
    broken = council_pb2.Params(
        members=[chain.accounts["dave"].address], threshold=2, voting_period_ns=HOUR_NS
    )
    message = params_pb2.MsgUpdateParams(
        authority=authority_address(), module="council", params=pack(broken)
    )
    chain.decide(message, members=("dave",))
    assert get_status(chain, 3) == council_pb2.PROPOSAL_STATUS_FAILED
