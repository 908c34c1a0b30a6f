"""The parameter register: one typed message per module, replaced whole by the council."""

import pytest

from chain._pb.cosmos.auth.v1beta1 import auth_pb2
from chain._pb.cosmos.bank.v1beta1 import bank_pb2
from chain._pb.margin.council.v1 import council_pb2
from chain._pb.margin.params.v1 import params_pb2
from chain.errors import ChainError
from chain.modules.auth.types import build_default_params
from chain.modules.council import authority_address
from chain.modules.params import state
from chain.runtime.router import pack
from tests.support.testchain import DENOM, Account, TestChain


@pytest.fixture
def chain() -> TestChain:
    chain = TestChain(
        accounts={"alice": {DENOM: 10**9}},
        app_state={
            "council": {
                "params": {
                    "members": [Account.named("alice").address],
                    "threshold": 1,
                    "voting_period_ns": "1000000000000",
                }
            }
        },
    )
    chain.next_block()
    return chain


def update(module: str, params: object) -> params_pb2.MsgUpdateParams:
    return params_pb2.MsgUpdateParams(
        authority=authority_address(), module=module, params=pack(params)
    )


def get_failure(chain: TestChain, message: params_pb2.MsgUpdateParams) -> tuple[str, int]:
    chain.decide(message)
    proposals = chain.query(
        "/margin.council.v1.Query/Proposals",
        council_pb2.QueryProposalsRequest(),
        council_pb2.QueryProposalsResponse,
    ).proposals
    return proposals[-1].failure_codespace, proposals[-1].failure_code


def test_update_takes_effect_at_once(chain: TestChain) -> None:
    params = build_default_params()
    params.max_memo_characters = 10
    chain.decide(update("auth", params))
    assert state.get_params(chain.read_context(), "auth").max_memo_characters == 10
    assert chain.send(update("auth", params), memo="m" * 11).code == 12


def test_refusals_of_updates(chain: TestChain) -> None:
    assert get_failure(chain, update("nosuch", bank_pb2.Params())) == ("params", 2)
    assert get_failure(chain, update("auth", bank_pb2.Params())) == ("params", 3)
    assert get_failure(chain, update("auth", auth_pb2.Params())) == ("units", 3)
    assert state.get_params(chain.read_context(), "auth") == build_default_params()


def test_all_params_are_listed(chain: TestChain) -> None:
    response = chain.query(
        "/margin.params.v1.Query/AllParams",
        params_pb2.QueryAllParamsRequest(),
        params_pb2.QueryAllParamsResponse,
    )
    names = [entry.module for entry in response.params]
    assert names == sorted(names)
    assert {"auth", "bank", "council", "validators"} <= set(names)
    with pytest.raises(ChainError, match="no parameters"):
        chain.query(
            "/margin.params.v1.Query/Params",
            params_pb2.QueryParamsRequest(module="nosuch"),
            params_pb2.QueryParamsResponse,
        )


def test_empty_message_is_stored_and_read_back(chain: TestChain) -> None:
    chain.decide(update("bank", bank_pb2.Params()))
    assert state.get_params(chain.read_context(), "bank") == bank_pb2.Params()
