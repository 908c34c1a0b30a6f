"""The validator register: updates reach CometBFT once, sets take effect two blocks later."""

import hashlib

import pytest

from chain._pb.margin.validators.v1 import validators_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.errors import ChainError
from chain.modules.council import authority_address
from chain.modules.validators import get_set, state
from chain.modules.validators.errors import SetBoundary, Tombstoned
from chain.modules.validators.handlers import handle_misbehavior, handle_update_validator
from chain.modules.validators.types import TOTAL_POWER_MAX, compute_validator_address
from chain.runtime.context import Context, Mode
from chain.runtime.definition import Misbehavior
from chain.runtime.store import Branch, EmptyState
from tests.support.testchain import DENOM, Account, TestChain


def key(index: int) -> bytes:
    return hashlib.sha256(f"key-{index}".encode()).digest()


def update(index: int, power: int) -> validators_pb2.MsgUpdateValidator:
    return validators_pb2.MsgUpdateValidator(
        authority=authority_address(), consensus_pubkey=key(index), power=power, moniker="m"
    )


@pytest.fixture
def ctx() -> Context:
    ctx = Context("x-1", 1, 1, Branch(EmptyState()), mode=Mode.GENESIS)
    for index in range(3):
        handle_update_validator(ctx, update(index, 10))
    assert len(state.take_updates(ctx)) == 3
    ctx.mode = Mode.DELIVER
    return ctx


def powers(ctx: Context, height: int) -> dict[bytes, int]:
    return {member.public_key: member.power for member in get_set(ctx, height)}


def test_updates_take_effect_two_blocks_later(ctx: Context) -> None:
    ctx.height = 5
    handle_update_validator(ctx, update(0, 7))
    handle_update_validator(ctx, update(3, 1))
    assert sorted(state.take_updates(ctx)) == sorted([(key(0), 7), (key(3), 1)])
    assert state.take_updates(ctx) == []
    assert powers(ctx, 6) == {key(0): 10, key(1): 10, key(2): 10}
    assert powers(ctx, 7) == {key(0): 7, key(1): 10, key(2): 10, key(3): 1}


def test_change_that_ends_where_it_began_is_no_update(ctx: Context) -> None:
    ctx.height = 5
    handle_update_validator(ctx, update(0, 7))
    handle_update_validator(ctx, update(0, 10))
    assert state.take_updates(ctx) == []


def test_changes_in_consecutive_blocks(ctx: Context) -> None:
    for height, power in ((5, 7), (6, 8), (7, 9)):
        ctx.height = height
        handle_update_validator(ctx, update(0, power))
        assert state.take_updates(ctx) == [(key(0), power)]
    for height, power in ((6, 10), (7, 7), (8, 8), (9, 9), (100, 9)):
        assert powers(ctx, height)[key(0)] == power


def test_old_sets_are_forgotten_but_the_needed_one_stays(ctx: Context) -> None:
    for height in range(10, 60):
        ctx.height = height
        handle_update_validator(ctx, update(0, height))
        state.take_updates(ctx)
        assert powers(ctx, height - 1)  # The votes of the height before are verified with it.
    assert len(list(ctx.kv("validators").iterate(b"s"))) < 10


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"consensus_pubkey": b"short"}, 2),
        ({"power": -1}, 2),
        ({"power": TOTAL_POWER_MAX + 1}, 2),
        ({"moniker": "m" * 71}, 2),
        ({"operator": "nobody"}, 7),
        ({"power": TOTAL_POWER_MAX}, 4),
        ({"authority": Account.named("alice").address}, 2),
    ],
)
def test_refusals(ctx: Context, change: dict[str, object], code: int) -> None:
    message = update(1, 10)
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ChainError) as caught, ctx.branch() as child:
        handle_update_validator(child, message)
    assert caught.value.code == code
    assert state.take_updates(ctx) == []


def test_the_last_validator_stays(ctx: Context) -> None:
    handle_update_validator(ctx, update(0, 0))
    handle_update_validator(ctx, update(1, 0))
    with pytest.raises(SetBoundary):
        handle_update_validator(ctx, update(2, 0))


def offend(index: int, height: int = 3) -> Misbehavior:
    return Misbehavior(1, compute_validator_address(key(index)), 10, height, 5)


def test_evidence_is_recorded_once_and_bars_the_key(ctx: Context) -> None:
    ctx.height = 5
    handle_misbehavior(ctx, offend(0))
    assert state.take_updates(ctx) == [(key(0), 0)]
    handle_misbehavior(ctx, offend(0))
    handle_misbehavior(ctx, offend(0, height=4))
    assert state.take_updates(ctx) == []
    assert len(list(state.get_evidence(ctx))) == 2
    with pytest.raises(Tombstoned):
        handle_update_validator(ctx, update(0, 10))
    handle_misbehavior(ctx, offend(99))  # Unknown: recorded, nobody loses power.


def test_evidence_against_all_leaves_one_power(ctx: Context) -> None:
    ctx.height = 5
    for index in range(3):
        handle_misbehavior(ctx, offend(index))
    assert len(state.take_updates(ctx)) == 2
    assert state.get_total_power(ctx) == 10


def test_council_changes_the_set_on_a_chain() -> None:
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
    chain.decide(update(7, 3))
    updates = chain.blocks[-1].response.validator_updates
    assert [(u.pub_key.ed25519, u.power) for u in updates] == [(key(7), 3)]
    assert isinstance(chain.next_block().response, abci.ResponseFinalizeBlock)
    assert not chain.blocks[-1].response.validator_updates
