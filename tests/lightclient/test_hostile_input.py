"""Whatever a block holds, the verifier answers with a verdict and never raises."""

from dataclasses import fields, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chain.lightclient.types import (
    BlockId,
    CommitSig,
    PartSetHeader,
    SignedHeader,
    TrustLevel,
    UntrustedBlock,
    Validator,
    ValidatorSet,
)
from chain.lightclient.verifier import (
    Invalid,
    NotEnoughTrust,
    Success,
    verify,
    verify_misbehaviour_header,
)
from chain.units import NANOSECONDS
from tests.support.headers import OPTIONS, TestValidatorSet, build_block

VALIDATORS = TestValidatorSet.create([40, 30, 20, 10])
TRUSTED = build_block(10, VALIDATORS)

edge_integers = st.sampled_from([-1, 0, 1, 2, 3, 4]) | st.builds(
    lambda bits, offset: (1 << bits) + offset,
    st.sampled_from([31, 32, 60, 63, 64, 80]),
    st.integers(-1, 1),
)
integers = edge_integers | edge_integers.map(lambda value: -value)
some_bytes = st.binary(max_size=70)
block_ids = st.builds(BlockId, some_bytes, st.builds(PartSetHeader, integers, some_bytes))
slots = st.builds(CommitSig, integers, some_bytes, integers, some_bytes)
validators = st.builds(Validator, st.binary(min_size=31, max_size=33), integers, integers)
VALUES = {int: integers, bytes: some_bytes, str: st.text(max_size=60), BlockId: block_ids}


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """The value with one to three of its fields replaced by anything of their type."""
    known = [f.name for f in fields(value) if type(getattr(value, f.name)) in VALUES]
    names = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
    return replace(value, **{n: draw(VALUES[type(getattr(value, n))]) for n in names})


@settings(max_examples=300, deadline=None)
@given(data=st.data(), height=st.sampled_from([11, 20]), has_odd_level=st.booleans())
def test_a_verdict_for_any_block(data: st.DataObject, height: int, *, has_odd_level: bool) -> None:
    block = build_block(height, VALIDATORS)
    header, commit = block.header, block.signed_header.commit
    members = block.validators.validators
    part = data.draw(st.sampled_from(["header", "commit", "slots", "validators", "trusted"]))
    trusted = TRUSTED.trusted
    if part == "header":
        header = data.draw(changed(header))
    elif part == "commit":
        commit = data.draw(changed(commit))
    elif part == "slots":
        sigs = data.draw(st.lists(slots | st.sampled_from(commit.signatures), max_size=6))
        commit = replace(commit, signatures=tuple(sigs))
    else:
        some = data.draw(st.lists(validators | st.sampled_from(members.validators), max_size=6))
        if part == "trusted":
            trusted = replace(trusted, next_validators=ValidatorSet(tuple(some)))
        else:
            members = ValidatorSet(tuple(some))
    level = TrustLevel(data.draw(integers), data.draw(integers)) if has_odd_level else None
    options = replace(OPTIONS, trust_level=level or OPTIONS.trust_level)
    untrusted = UntrustedBlock(SignedHeader(header, commit), members)
    now_ns = block.header.time_ns + NANOSECONDS
    for judge in (verify, verify_misbehaviour_header):
        verdict = judge(trusted, untrusted, options, now_ns)
        assert isinstance(verdict, Success | NotEnoughTrust | Invalid)
