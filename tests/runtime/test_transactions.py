"""Start with a transaction that succeeds, break one thing: the code, and nothing written."""

import hashlib
import time
from collections.abc import Callable

import pytest
from coincurve import PrivateKey

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_pb2
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.crypto.ed25519 import keys_pb2 as ed25519_pb2
from chain._pb.cosmos.crypto.multisig.v1beta1 import multisig_pb2
from chain._pb.cosmos.crypto.secp256k1 import keys_pb2
from chain._pb.cosmos.tx.signing.v1beta1 import signing_pb2
from chain._pb.cosmos.tx.v1beta1 import tx_pb2
from chain._pb.margin.council.v1 import council_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.errors import ChainError
from chain.modules.auth.types import FEE_COLLECTOR, module_address
from chain.runtime.ante import GasPrice
from chain.runtime.application import NodeOptions
from chain.runtime.router import pack
from chain.runtime.tx import TX_BYTES_MAX, compute_sign_bytes
from chain.units import AMOUNT_LIMIT
from tests.support.testchain import DENOM, Account, TestChain, TxDraft

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture(scope="module")
def shared() -> TestChain:
    chain = TestChain()
    chain.next_block()
    return chain


def send_msg(chain: TestChain, amount: str = "5", denom: str = DENOM) -> bank_pb2.MsgSend:
    return bank_pb2.MsgSend(
        from_address=chain.accounts["alice"].address,
        to_address=chain.accounts["bob"].address,
        amount=[coin_pb2.Coin(denom=denom, amount=amount)],
    )


def draft(chain: TestChain, **fields: object) -> TxDraft:
    return chain.draft([send_msg(chain)], **fields)


def assert_refused(chain: TestChain, raw: bytes, codespace: str, code: int) -> str:
    """Refused by FinalizeBlock with the code; balances and sequences are as before."""
    before = (chain.balance("alice"), chain.balance("bob"), chain.account("alice").sequence)
    result = chain.next_block([raw]).results[0]
    assert (result.codespace, result.code) == (codespace, code), result.log
    assert before == (
        chain.balance("alice"),
        chain.balance("bob"),
        chain.account("alice").sequence,
    )
    assert not chain.app.errors.by_place
    return result.log


def test_valid_send(shared: TestChain) -> None:
    alice, bob = shared.balance("alice"), shared.balance("bob")
    sequence = shared.account("alice").sequence
    result = shared.must_send(send_msg(shared))
    assert shared.balance("bob") == bob + 5
    assert shared.balance("alice") == alice - 5 - 1000
    assert shared.account("alice").sequence == sequence + 1
    assert 0 < result.gas_used < result.gas_wanted
    types = [event.type for event in result.events]
    assert types == [
        *("tx", "tx", "tx"),
        *("message", "coin_spent", "coin_received", "transfer"),
    ]
    indexed = [f"{e.type}.{a.key}" for e in result.events for a in e.attributes if a.index]
    # What CosmJS, cosmpy and explorers search by, and nothing twice: each costs CometBFT a key.
    assert indexed == [
        "tx.acc_seq",
        *("message.action", "message.sender", "message.module"),
        *("transfer.recipient", "transfer.sender"),
    ]


# Bytes.


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def length_delimited(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def nest(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = length_delimited(2, length_delimited(2, body))
    return body


MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda raw: raw[:-1],
    "trailing": lambda raw: raw + b"\x00",
    "random": lambda _: b"\xff" * 100,
    "unknown field in TxRaw": lambda raw: raw + length_delimited(9, b"x"),
    "body twice": lambda raw: raw[: raw[1] + 2] + raw,
    "group": lambda raw: raw + b"\x23\x24",
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_bytes(shared: TestChain, change: Callable[[bytes], bytes]) -> None:
    raw = change(draft(shared).build())
    assert shared.check(raw).code == 2
    assert_refused(shared, raw, "sdk", 2)


def rebuild(draft: TxDraft, body: bytes, auth_info: bytes) -> bytes:
    """Sign bytes that protobuf would not write."""
    signer = draft.signers[0]
    sign_bytes = compute_sign_bytes(body, auth_info, draft.chain_id, signer.number)
    return tx_pb2.TxRaw(
        body_bytes=body, auth_info_bytes=auth_info, signatures=[signer.sign(sign_bytes)]
    ).SerializeToString()


def test_unknown_fields_are_refused_at_every_level(shared: TestChain) -> None:
    good = draft(shared)
    body, auth_info = good.body.SerializeToString(), good.auth_info.SerializeToString()
    for unknown in (9, 1500):  # Critical and non-critical by ADR-020: both are refused.
        extra = length_delimited(unknown, b"x")
        assert_refused(shared, rebuild(good, body + extra, auth_info), "sdk", 2)
        assert_refused(shared, rebuild(good, body, auth_info + extra), "sdk", 2)
        message = draft(shared)
        message.body.messages[0].value += extra
        assert_refused(shared, message.build(), "sdk", 2)
        inner = draft(shared)
        send = send_msg(shared)
        coin = send.amount[0].SerializeToString() + extra
        del send.amount[:]
        inner.body.messages[0].value = send.SerializeToString() + length_delimited(3, coin)
        assert_refused(shared, inner.build(), "sdk", 2)
        key = draft(shared)
        key.auth_info.signer_infos[0].public_key.value += extra
        assert_refused(shared, key.build(), "sdk", 2)


def test_other_encodings_are_refused(shared: TestChain) -> None:
    good = draft(shared, memo="m")
    body, auth_info = good.body.SerializeToString(), good.auth_info.SerializeToString()
    overlong_tag = b"\x92\x00" + body[body.rindex(b"\x12\x01m") + 1 :]
    assert_refused(shared, rebuild(good, body[:-3] + overlong_tag, auth_info), "sdk", 2)
    swapped = body[-3:] + body[:-3]
    assert_refused(shared, rebuild(good, swapped, auth_info), "sdk", 2)
    explicit_default = body + b"\x18\x00"
    assert_refused(shared, rebuild(good, explicit_default, auth_info), "sdk", 2)


def test_deep_nesting_and_many_anys_are_refused_quickly(shared: TestChain) -> None:
    good = draft(shared)
    bombs = [
        nest(5_000),
        length_delimited(1, length_delimited(2, nest(5_000))),
        length_delimited(1, b"") * 400_000,
        length_delimited(2, length_delimited(2, nest(5_000))),
    ]
    for bomb in bombs:
        for raw in (
            rebuild(good, bomb, good.auth_info.SerializeToString()),
            rebuild(good, good.body.SerializeToString(), bomb),
            rebuild(good, good.body.SerializeToString(), length_delimited(1, bomb)),
        ):
            started = time.process_time()
            code = shared.check(raw).code
            assert time.process_time() - started < 0.25
            assert code in (2, 21)
    assert shared.check(good.build()).code == 0


def test_any_in_any_is_bounded(shared: TestChain) -> None:
    proposer = shared.accounts["alice"].address
    message = pack(council_pb2.MsgSubmitProposal(proposer=proposer))
    for _ in range(40):
        message = pack(council_pb2.MsgSubmitProposal(proposer=proposer, messages=[message]))
    bomb = draft(shared)
    bomb.body.messages[0].CopyFrom(message)
    log = assert_refused(shared, bomb.build(), "sdk", 2)
    assert "nests deeper than 12" in log


def test_multisig_recursion_is_bounded(shared: TestChain) -> None:
    bomb = draft(shared)
    mode = bomb.auth_info.signer_infos[0].mode_info
    for _ in range(40):
        mode = mode.multi.mode_infos.add()
    assert_refused(shared, bomb.build(), "sdk", 2)
    single = draft(shared)
    multi = single.auth_info.signer_infos[0].mode_info.multi
    multi.bitarray.CopyFrom(multisig_pb2.CompactBitArray(extra_bits_stored=1, elems=b"\x80"))
    assert_refused(shared, single.build(), "sdk", 37)


def test_oversized(shared: TestChain) -> None:
    big = draft(shared, memo="m" * TX_BYTES_MAX).build()
    assert shared.check(big).code == 21
    # Such an item is not even a valid block.
    status = shared.process(shared.height + 1, [big]).status
    assert status == abci.ResponseProcessProposal.REJECT


def test_too_many_messages(shared: TestChain) -> None:
    many = draft(shared)
    many.body.messages.extend([many.body.messages[0]] * 256)
    assert_refused(shared, many.build(), "sdk", 2)


# Who signs.


def high_s(raw: bytes) -> bytes:
    tx = tx_pb2.TxRaw.FromString(raw)
    r, s = tx.signatures[0][:32], int.from_bytes(tx.signatures[0][32:])
    tx.signatures[0] = r + (N - s).to_bytes(32)
    return tx.SerializeToString()


def with_signature(raw: bytes, signature: bytes) -> bytes:
    tx = tx_pb2.TxRaw.FromString(raw)
    tx.signatures[0] = signature
    return tx.SerializeToString()


BAD_SIGNATURES: dict[str, Callable[[bytes], bytes]] = {
    "high s": high_s,
    "zeros": lambda raw: with_signature(raw, bytes(64)),
    "r = n": lambda raw: with_signature(raw, N.to_bytes(32) + b"\x01" * 32),
    "s = n": lambda raw: with_signature(raw, b"\x01" * 32 + N.to_bytes(32)),
    "short": lambda raw: with_signature(raw, bytes(63)),
    "recoverable": lambda raw: with_signature(
        raw, tx_pb2.TxRaw.FromString(raw).signatures[0] + b"\x00"
    ),
    "empty": lambda raw: with_signature(raw, b""),
}


@pytest.mark.parametrize("change", BAD_SIGNATURES.values(), ids=BAD_SIGNATURES.keys())
def test_bad_signature(shared: TestChain, change: Callable[[bytes], bytes]) -> None:
    raw = change(draft(shared).build())
    log = assert_refused(shared, raw, "sdk", 4)
    assert "signature verification failed; please verify account number" in log


def test_wrong_chain_id_number_and_key(shared: TestChain) -> None:
    good = draft(shared)
    good.chain_id = "other-1"
    assert_refused(shared, good.build(), "sdk", 4)
    good = draft(shared, numbers=[99])
    assert_refused(shared, good.build(), "sdk", 4)
    stranger = draft(shared)
    stranger.signers = [shared.account("bob")]
    assert_refused(shared, stranger.fill().build(), "sdk", 8)
    impostor = draft(shared)
    bob = shared.account("bob")
    impostor.signers = [Account("x", bob.key, 2, impostor.signers[0].sequence)]
    assert_refused(shared, impostor.build(), "sdk", 4)


def test_signature_counts(shared: TestChain) -> None:
    raw = tx_pb2.TxRaw.FromString(draft(shared).build())
    del raw.signatures[:]
    assert_refused(shared, raw.SerializeToString(), "sdk", 15)
    double = tx_pb2.TxRaw.FromString(draft(shared).build())
    double.signatures.append(double.signatures[0])
    assert_refused(shared, double.SerializeToString(), "sdk", 4)


@pytest.mark.parametrize(("offset", "code"), [(1, 32), (1000, 32)])
def test_sequence_ahead(shared: TestChain, offset: int, code: int) -> None:
    expected = shared.account("alice").sequence
    raw = draft(shared, sequences=[expected + offset]).build()
    log = assert_refused(shared, raw, "sdk", code)
    assert log == (
        f"account sequence mismatch, expected {expected}, got {expected + offset}: "
        "incorrect account sequence"
    )


def test_replay_is_refused(shared: TestChain) -> None:
    raw = draft(shared).build()
    assert shared.next_block([raw]).results[0].code == 0
    assert_refused(shared, raw, "sdk", 32)
    both = draft(shared).build()
    codes = [result.code for result in shared.next_block([both, both]).results]
    assert codes == [0, 32]


def test_unknown_account(shared: TestChain) -> None:
    carol = Account.named("carol")
    shared.accounts["carol"] = carol
    message = send_msg(shared)
    message.from_address = carol.address
    carol.number = 0
    raw = TxDraft([message], [carol], shared.chain_id).fill().build()
    assert_refused(shared, raw, "sdk", 9)
    free = TxDraft([message], [carol], shared.chain_id, fee=()).fill().build()
    assert_refused(shared, free, "sdk", 9)


def test_keys(shared: TestChain) -> None:
    other_type = draft(shared)
    other_type.auth_info.signer_infos[0].public_key.CopyFrom(
        pack(ed25519_pb2.PubKey(key=bytes(32)))
    )
    assert_refused(shared, other_type.build(), "sdk", 2)
    uncompressed = draft(shared)
    key = PrivateKey(b"\x07" * 32).public_key.format(compressed=False)
    uncompressed.auth_info.signer_infos[0].public_key.CopyFrom(pack(keys_pb2.PubKey(key=key)))
    assert_refused(shared, uncompressed.build(), "sdk", 8)
    absent = draft(shared)
    absent.auth_info.signer_infos[0].ClearField("public_key")
    assert shared.next_block([absent.build()]).results[0].code == 0  # Known from before.


def test_first_transaction_must_bring_its_key() -> None:
    chain = TestChain()
    chain.next_block()
    absent = draft(chain)
    absent.auth_info.signer_infos[0].ClearField("public_key")
    assert_refused(chain, absent.build(), "sdk", 8)


def test_several_signers(shared: TestChain) -> None:
    back = bank_pb2.MsgSend(
        from_address=shared.accounts["bob"].address,
        to_address=shared.accounts["alice"].address,
        amount=[coin_pb2.Coin(denom=DENOM, amount="7")],
    )
    both = shared.draft([send_msg(shared), back], "alice,bob")
    bob_sequence = shared.account("bob").sequence
    assert shared.next_block([both.build()]).results[0].code == 0
    assert shared.account("bob").sequence == bob_sequence + 1
    wrong_order = shared.draft([send_msg(shared), back], "bob,alice")
    assert_refused(shared, wrong_order.build(), "sdk", 8)
    one = shared.draft([send_msg(shared), back], "alice")
    assert_refused(shared, one.build(), "sdk", 4)


def test_fee_payer_signs_and_pays(shared: TestChain) -> None:
    paid = shared.draft([send_msg(shared)], "alice,bob")
    paid.auth_info.fee.payer = shared.accounts["bob"].address
    alice, bob = shared.balance("alice"), shared.balance("bob")
    assert shared.next_block([paid.build()]).results[0].code == 0
    assert shared.balance("alice") == alice - 5
    assert shared.balance("bob") == bob + 5 - 1000
    unsigned = draft(shared)
    unsigned.auth_info.fee.payer = shared.accounts["bob"].address
    assert_refused(shared, unsigned.build(), "sdk", 4)


# What is not offered.


@pytest.mark.parametrize("mode", [0, 2, 3, 127])
def test_other_sign_modes(shared: TestChain, mode: int) -> None:
    other = draft(shared)
    other.auth_info.signer_infos[0].mode_info.single.mode = signing_pb2.SignMode.Name(mode)
    assert_refused(shared, other.build(), "sdk", 37)


def test_unoffered_features(shared: TestChain) -> None:
    tip = draft(shared)
    tip.auth_info.tip.tipper = shared.accounts["bob"].address
    assert_refused(shared, tip.build(), "sdk", 37)
    granter = draft(shared)
    granter.auth_info.fee.granter = shared.accounts["bob"].address
    assert_refused(shared, granter.build(), "sdk", 37)
    unordered = draft(shared)
    unordered.body.unordered = True
    assert_refused(shared, unordered.build(), "sdk", 37)
    option = draft(shared)
    option.body.extension_options.append(pack(send_msg(shared)))
    assert_refused(shared, option.build(), "sdk", 31)


def test_unknown_message(shared: TestChain) -> None:
    unknown = draft(shared)
    unknown.body.messages[0].type_url = "/cosmos.gov.v1.MsgVote"
    log = assert_refused(shared, unknown.build(), "sdk", 2)
    assert log == "unable to resolve type URL /cosmos.gov.v1.MsgVote: tx parse error"
    not_a_message = draft(shared)
    not_a_message.body.messages[0].CopyFrom(pack(keys_pb2.PubKey(key=b"k")))
    assert_refused(shared, not_a_message.build(), "sdk", 6)
    spelled = draft(shared)
    spelled.body.messages[0].type_url = "type.googleapis.com/cosmos.bank.v1beta1.MsgSend"
    assert_refused(shared, spelled.build(), "sdk", 2)
    nothing = draft(shared)
    del nothing.body.messages[:]
    nothing.body.memo = "x"
    assert_refused(shared, nothing.build(), "sdk", 18)


# Limits.


def test_gas(shared: TestChain) -> None:
    assert_refused(shared, draft(shared, gas_limit=1).build(), "sdk", 11)
    assert_refused(shared, draft(shared, gas_limit=1 << 63).build(), "sdk", 41)


def test_out_of_gas_in_messages_keeps_fee_and_sequence(shared: TestChain) -> None:
    used = shared.must_send(send_msg(shared)).gas_used
    alice, bob = shared.balance("alice"), shared.balance("bob")
    sequence = shared.account("alice").sequence
    result = shared.send(send_msg(shared), gas_limit=used - 100)
    assert (result.codespace, result.code, result.data) == ("sdk", 11, b"")
    assert shared.balance("bob") == bob
    assert shared.balance("alice") == alice - 1000
    assert shared.account("alice").sequence == sequence + 1


def test_memo(shared: TestChain) -> None:
    assert shared.send(send_msg(shared), memo="m" * 32_768).code == 0
    assert_refused(shared, draft(shared, memo="m" * 32_769).build(), "sdk", 12)


def test_timeouts(shared: TestChain) -> None:
    late = draft(shared)
    late.body.timeout_height = shared.height
    assert_refused(shared, late.build(), "sdk", 30)
    just = draft(shared)
    just.body.timeout_height = shared.height + 1
    assert shared.next_block([just.build()]).results[0].code == 0
    expired = draft(shared)
    expired.body.timeout_timestamp.FromNanoseconds(shared.time_ns)
    assert_refused(shared, expired.build(), "sdk", 42)


def test_fee_coins(shared: TestChain) -> None:
    for amount in ("0", "-1", "01", "", "1.5", str(AMOUNT_LIMIT), "9" * 100, "0x10"):
        bad = draft(shared)
        bad.auth_info.fee.amount[0].amount = amount
        assert_refused(shared, bad.build(), "sdk", 10)
    unsorted = draft(shared, fee=(("zzz", 1), (DENOM, 1)))
    assert_refused(shared, unsorted.build(), "sdk", 10)
    poor = draft(shared, fee=((DENOM, 10**30),))
    assert_refused(shared, poor.build(), "sdk", 5)


def test_minimum_gas_price_counts_in_check_alone() -> None:
    options = NodeOptions(minimum_gas_prices=(GasPrice(DENOM, 10**16),))  # 0.01 umargin
    chain = TestChain(options=options)
    chain.next_block()
    cheap = draft(chain, gas_limit=100_000, fee=((DENOM, 999),)).build()
    refused = chain.check(cheap)
    assert refused.code == 13
    assert "required: 1000umargin" in refused.log
    assert chain.check(draft(chain, gas_limit=100_000, fee=((DENOM, 1000),)).build()).code == 0
    assert chain.next_block([cheap]).results[0].code == 0  # Another proposer's taste.


# Messages.


def test_messages_are_atomic(shared: TestChain) -> None:
    alice, bob = shared.balance("alice"), shared.balance("bob")
    too_much = send_msg(shared, str(10**20))
    result = shared.send([send_msg(shared), too_much])
    assert (result.codespace, result.code) == ("sdk", 5)
    assert "message index: 1" in result.log
    assert shared.balance("bob") == bob
    assert shared.balance("alice") == alice - 1000
    assert {event.type for event in result.events} == {"tx"}


@pytest.mark.parametrize(
    "amount", ["0", "-5", "05", "", "5.0", "1e3", " 5", "0x5", str(AMOUNT_LIMIT), "9" * 5000]
)
def test_bad_amounts(shared: TestChain, amount: str) -> None:
    result = shared.send(send_msg(shared, amount))
    assert (result.codespace, result.code) == ("sdk", 10)


@pytest.mark.parametrize("denom", ["", "a", "1abc", "a b c", "ab\x00c", "x" * 129, "ümargin"])
def test_bad_denoms(shared: TestChain, denom: str) -> None:
    assert shared.send(send_msg(shared, "5", denom)).code == 10


def test_unknown_denom_has_no_balance(shared: TestChain) -> None:
    assert shared.send(send_msg(shared, "5", "nosuch")).code == 5


@pytest.mark.parametrize(
    "address",
    ["", "margin1", "x", "cosmos13w0ljhrv2fnn45l4yvv8e9wztmspj2q5c5ekvs", "margin1" + "q" * 200],
)
def test_bad_receivers(shared: TestChain, address: str) -> None:
    message = send_msg(shared)
    message.to_address = address
    assert shared.send(message).code == 7


def test_upper_case_address_is_refused(shared: TestChain) -> None:
    message = send_msg(shared)
    message.to_address = message.to_address.upper()
    assert shared.send(message).code == 7


def test_module_account_receives_no_send(shared: TestChain) -> None:
    message = send_msg(shared)
    message.to_address = module_address(FEE_COLLECTOR)
    assert shared.send(message).code == 4


def test_somebody_elses_coins(shared: TestChain) -> None:
    message = send_msg(shared)
    raw = shared.draft([message], "bob").build()
    assert_refused(shared, raw, "sdk", 8)


# The mempool's view.


def test_check_state_advances_before_commit() -> None:
    chain = TestChain()
    chain.next_block()
    raws = [draft(chain, sequences=[sequence]).build() for sequence in range(4)]
    assert [chain.check(raw).code for raw in raws] == [0, 0, 0, 0]
    assert chain.check(raws[0]).code == 32
    assert chain.query_sequence() == 0
    codes = [result.code for result in chain.next_block(raws[:2]).results]
    assert codes == [0, 0]
    # Recheck of what stayed in the mempool, over the new committed state.
    assert [chain.check(raw, recheck=True).code for raw in raws[2:]] == [0, 0]
    assert chain.check(raws[1], recheck=True).code == 32


def test_check_runs_no_message(shared: TestChain) -> None:
    raw = shared.draft([send_msg(shared, str(10**20))]).build()
    assert shared.check(raw).code == 0
    assert shared.next_block([raw]).results[0].code == 5


def test_cached_signature_binds_number_and_key() -> None:
    """A verdict of CheckTx must not pass for an account that differs in the block."""
    chain = TestChain()
    chain.next_block()
    raw = draft(chain, numbers=[99]).build()
    account = chain.account("alice")
    assert chain.check(raw).code == 4
    chain.app._signatures.add(hashlib.sha256(raw).digest(), ((account.public_key, 99),))
    assert chain.next_block([raw]).results[0].code == 4


# Simulation.


def test_simulate(shared: TestChain) -> None:
    unsigned = draft(shared)
    unsigned.auth_info.signer_infos[0].mode_info.single.mode = signing_pb2.SIGN_MODE_UNSPECIFIED
    raw = tx_pb2.TxRaw(
        body_bytes=unsigned.body.SerializeToString(),
        auth_info_bytes=unsigned.auth_info.SerializeToString(),
        signatures=[b""],
    ).SerializeToString()
    before = shared.balance("alice")
    gas, result = shared.app.simulate(raw)
    assert gas.gas_used > 5_000
    assert len(result.msg_responses) == 1
    assert shared.balance("alice") == before
    real = shared.must_send(send_msg(shared))
    assert abs(real.gas_used - gas.gas_used) < 2_000


def test_simulate_counts_the_fee_and_signatures_that_are_still_missing(shared: TestChain) -> None:
    """Wallets simulate without either, add 40 % and must not run out."""
    unsigned = draft(shared)
    del unsigned.auth_info.fee.amount[:]
    unsigned.auth_info.signer_infos[0].mode_info.single.mode = signing_pb2.SIGN_MODE_UNSPECIFIED
    raw = tx_pb2.TxRaw(
        body_bytes=unsigned.body.SerializeToString(),
        auth_info_bytes=unsigned.auth_info.SerializeToString(),
        signatures=[b""],
    ).SerializeToString()
    gas, _ = shared.app.simulate(raw)
    real = shared.must_send(send_msg(shared))
    assert real.gas_used <= gas.gas_used * 11 // 10
    assert gas.gas_used <= real.gas_used * 14 // 10


def test_simulate_tells_the_sequence(shared: TestChain) -> None:
    expected = shared.account("alice").sequence
    with pytest.raises(ChainError, match=f"account sequence mismatch, expected {expected}, got 7"):
        shared.app.simulate(draft(shared, sequences=[expected + 7000]).build())
