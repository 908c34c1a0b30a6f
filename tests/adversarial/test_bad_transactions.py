"""Bytes and signatures nobody honest sends: a code, words, and a block like an empty one."""

from collections.abc import Callable

import pytest
from google.protobuf import any_pb2

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.tx.v1beta1 import tx_pb2
from chain._pb.margin.council.v1 import council_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.runtime.router import pack
from chain.runtime.tx import TX_BYTES_MAX
from tests.adversarial.world import World, assert_alive, judge
from tests.support.testchain import DENOM, Account, TestChain, TxDraft

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""The order of secp256k1's group."""


def build(chain: TestChain, **fields: object) -> TxDraft:
    message = bank_tx.MsgSend(
        from_address=chain.accounts["alice"].address,
        to_address=chain.accounts["bob"].address,
        amount=[coin_pb2.Coin(denom=DENOM, amount="5")],
    )
    return chain.draft([message], **fields)


def resign(raw: bytes, change: Callable[[bytes], bytes]) -> bytes:
    tx = tx_pb2.TxRaw.FromString(raw)
    tx.signatures[0] = change(tx.signatures[0])
    return tx.SerializeToString()


def negate_s(signature: bytes) -> bytes:
    return signature[:32] + (ORDER - int.from_bytes(signature[32:])).to_bytes(32)


def swap_body_fields(raw: bytes) -> bytes:
    tx = tx_pb2.TxRaw.FromString(raw)
    auth, body = tx.auth_info_bytes, tx.body_bytes
    head = tx_pb2.TxRaw(body_bytes=body).SerializeToString()
    middle = tx_pb2.TxRaw(auth_info_bytes=auth).SerializeToString()
    tail = tx_pb2.TxRaw(signatures=tx.signatures).SerializeToString()
    return middle + head + tail


def nest(chain: TestChain, levels: int) -> bytes:
    alice = chain.accounts["alice"].address
    packed = pack(council_pb2.MsgApprove(member=alice, proposal_id=1))
    for _ in range(levels):
        packed = pack(council_pb2.MsgSubmitProposal(proposer=alice, messages=[packed]))
    draft = build(chain)
    draft.body.messages[0].CopyFrom(packed)
    return draft.build()


def say_unknown(chain: TestChain) -> bytes:
    draft = build(chain)
    draft.body.messages[0].CopyFrom(any_pb2.Any(type_url="/cosmos.gov.v1.MsgVote"))
    return draft.build()


def use_other_key(chain: TestChain) -> bytes:
    draft = build(chain)
    stranger = Account.named("mallory")
    draft.auth_info.signer_infos[0].public_key.value = b"\x0a\x21" + stranger.public_key
    draft.signers = [stranger]
    stranger.number = chain.account("alice").number
    return draft.build()


def use_other_chain(chain: TestChain) -> bytes:
    draft = build(chain)
    draft.chain_id = "hub-2"
    return draft.build()


BAD = {
    "empty": (lambda _: b"", ("sdk", 2), ""),
    "garbage": (lambda _: b"\xff" * 99, ("sdk", 2), "not protobuf"),
    "truncated": (lambda c: build(c).build()[:-9], ("sdk", 2), "not protobuf"),
    "trailing byte": (lambda c: build(c).build() + b"\x00", ("sdk", 2), ""),
    "unknown field": (lambda c: build(c).build() + b"\x22\x01x", ("sdk", 2), "unknown fields"),
    "fields swapped": (lambda c: swap_body_fields(build(c).build()), ("sdk", 2), "canonical"),
    "nested deeply": (lambda c: nest(c, 40), ("sdk", 2), "deeper than 12 levels; flatten"),
    "oversized": (
        lambda c: build(c, memo="m" * TX_BYTES_MAX).build(),
        ("sdk", 21),
        str(TX_BYTES_MAX),
    ),
    "memo": (lambda c: build(c, memo="m" * 100_000).build(), ("sdk", 12), "100000"),
    "another chain": (use_other_chain, ("sdk", 4), "hub-1"),
    "sequence ahead": (
        lambda c: build(c, sequences=[c.account("alice").sequence + 1]).build(),
        ("sdk", 32),
        "account sequence mismatch, expected ",
    ),
    "sequence behind": (
        lambda c: build(c, sequences=[c.account("alice").sequence - 1]).build(),
        ("sdk", 32),
        "account sequence mismatch, expected ",
    ),
    "account number": (lambda c: build(c, numbers=[99]).build(), ("sdk", 4), "account number"),
    "another key": (use_other_key, ("sdk", 8), "does not match signer"),
    "signature": (lambda c: resign(build(c).build(), lambda _: bytes(64)), ("sdk", 4), ""),
    "short signature": (lambda c: resign(build(c).build(), lambda s: s[:63]), ("sdk", 4), ""),
    "high s": (lambda c: resign(build(c).build(), negate_s), ("sdk", 4), ""),
    "unknown message": (say_unknown, ("sdk", 2), "unable to resolve type URL /cosmos.gov.v1"),
    "fee above balance": (
        lambda c: build(c, fee=[(DENOM, 10**30)]).build(),
        ("sdk", 5),
        "1000000000000000000000000000000",
    ),
    "fee of unknown denom": (lambda c: build(c, fee=[("gold", 1)]).build(), ("sdk", 5), "gold"),
    "fee coins unsorted": (
        lambda c: build(c, fee=[("uusd", 1), (DENOM, 1)]).build(),
        ("sdk", 10),
        "",
    ),
    "gas for the ante": (lambda c: build(c, gas_limit=1_000).build(), ("sdk", 11), "1000"),
    "no gas": (lambda c: build(c, gas_limit=0).build(), ("sdk", 11), ""),
}


@pytest.mark.parametrize(("make", "code", "words"), BAD.values(), ids=BAD.keys())
def test_refused_before_anything_is_written(world: World, make, code, words) -> None:
    chain = world.hub
    raw = make(chain)
    verdict = judge(chain, raw)
    assert verdict.code == code, verdict.log
    assert words in verdict.log
    assert verdict.writes == {}
    checked = chain.check(raw)
    assert (checked.codespace, checked.code) == code
    assert_alive(chain)


def test_a_block_of_all_of_them_is_like_an_empty_block(world: World) -> None:
    hub = world.hub
    raws = [make(hub) for make, _, _ in BAD.values()]
    verdict = judge(hub, *raws)
    assert [(r.codespace, r.code) for r in verdict.results] == [code for _, code, _ in BAD.values()]
    assert verdict.writes == {}
    good = build(hub).build()
    assert judge(hub, *raws, good).code == ("", 0)


def test_failing_message_keeps_fee_and_sequence_alone(world: World) -> None:
    draft = build(world.hub)
    draft.body.messages.extend([draft.body.messages[0]] * 2)
    last = bank_tx.MsgSend(
        from_address=world.address("alice"),
        to_address=world.address("bob"),
        amount=[coin_pb2.Coin(denom=DENOM, amount=str(10**30))],
    )
    draft.body.messages.append(pack(last))
    verdict = judge(world.hub, draft.build())
    assert verdict.code == ("sdk", 5)
    assert "message index: 3" in verdict.log
    assert len(verdict.writes) == 3
    assert not [e for e in verdict.results[0].events if e.type == "message"]


def test_oversized_item_makes_no_block(world: World) -> None:
    hub = world.hub
    items = list(hub.propose(hub.height + 1, []).txs)
    status = abci.ResponseProcessProposal
    assert hub.process(hub.height + 1, items).status == status.ACCEPT
    huge = [*items, bytes(TX_BYTES_MAX + 1)]
    assert hub.process(hub.height + 1, huge).status == status.REJECT
