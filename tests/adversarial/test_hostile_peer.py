"""Packets and answers that a hostile chain commits to and proves: a fixed code, no unit moved.

The peer's headers and proofs are honest, so nothing stands between these bytes and the application.
"""

import json
import re

import pytest

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from chain.ibc.apps.transfer import state as transfer
from chain.ibc.apps.transfer.denoms import Denom, compute_escrow_address
from chain.ibc.channel.handlers import NOOP, SUCCESS
from chain.ibc.router import Packet
from chain.modules.auth.types import module_address
from chain.modules.bank import state as bank
from chain.modules.collateral.types import MODULE_ADDRESS
from chain.modules.council.types import authority_address
from chain.units import NANOSECONDS
from tests.adversarial.world import assert_alive
from tests.support.testchain import DENOM, Account
from tests.twochain.chain import TxRefused
from tests.twochain.hostile_peer import (
    ACCEPTED,
    CONFIG,
    LiarChain,
    build_hostile_path,
    get_lien,
)
from tests.twochain.path import Endpoint, Path
from tests.twochain.test_margin import read_packet

BASE = "samoleans"
ALICE = str(Account.named("alice").address)
BOB = str(Account.named("bob").address)
ABSENT = object()


@pytest.fixture(scope="module")
def path() -> Path:
    return build_hostile_path(BASE)


@pytest.fixture
def fresh() -> Path:
    return build_hostile_path(BASE)


def get_voucher(path: Path, base: str = BASE) -> str:
    return Denom(base).with_hop("transfer", path.b.channel_id).local_denom


def data(**changes: object) -> bytes:
    """Good packet data with some fields replaced, or left out (ABSENT)."""
    fields = {"denom": BASE, "amount": "7", "sender": "cosmos1x", "receiver": ALICE, **changes}
    kept = {key: value for key, value in fields.items() if value is not ABSENT}
    return json.dumps(kept, separators=(",", ":")).encode()


def raw(amount: bytes) -> bytes:
    """Good packet data whose amount is spelled by these bytes of JSON."""
    return data().replace(b'"7"', amount)


def deposit(owner: str = ALICE, account: object = 0, **more: object) -> str:
    return json.dumps({"margin": {"deposit": {"owner": owner, "account": account, **more}}})


def take_picture(path: Path) -> tuple[object, ...]:
    """Everything a transfer could have changed on the hub."""
    ctx = path.b.chain.read_context()
    return (
        list(bank.get_supplies(ctx)),
        sorted(denom.path for denom in transfer.iterate_denoms(ctx)),
        list(transfer.iterate_total_escrows(ctx)),
        get_lien(path, get_voucher(path)),
    )


def is_refusal(answer: bytes, code: int) -> bool:
    text = f"ABCI code: {code}: error handling packet: see events for details"
    return answer == json.dumps({"error": text}, separators=(",", ":")).encode()


NO_OBJECT = {
    "blank": b" ",
    "null": b"null",
    "number": b"7",
    "text": b'"transfer"',
    "list": b"[]",
    "list of it": b"[" + data() + b"]",
    "truncated": data()[:-1],
    "two of them": data() + data(),
    "bytes behind it": data() + b"\x00",
    "byte order mark": b"\xef\xbb\xbf" + data(),
    "UTF-16": data().decode().encode("utf-16"),
    "invalid UTF-8": data().replace(b"cosmos1x", b"\xff\xfe"),
    "overlong UTF-8": data().replace(b"cosmos1x", b"\xc0\xaf"),
    "surrogate in UTF-8": data().replace(b"cosmos1x", b"\xed\xa0\x80"),
    "half of an escaped pair": data().replace(b"cosmos1x", b"\\ud800"),
    "raw null byte": data().replace(b"cosmos1x", b"a\x00b"),
    "raw line break": data().replace(b"cosmos1x", b"a\nb"),
    "single quotes": data().replace(b'"', b"'"),
    "comment": b"/* */" + data(),
    "comma too many": data()[:-1] + b",}",
    "protobuf": b"\x0a\x09samoleans\x12\x017",
    "deep lists": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"x":' * 30_000 + b"1" + b"}" * 30_000,
    "not closed": b"[" * 200_000,
    "infinity": raw(b"Infinity"),
    "not a number": raw(b"NaN"),
    "as a number": raw(b"7"),
    "as a float": raw(b"7.0"),
    "as a huge number": raw(b"9" * 5_000),
    "as a huge exponent": raw(b"1e999999999"),
    "as true": raw(b"true"),
    "as a list": raw(b'["7"]'),
    "as an object": raw(b'{"value":"7"}'),
    "receiver a list": data(receiver=[ALICE]),
    "memo an object": data(memo={"margin": {"deposit": {"owner": ALICE, "account": 0}}}),
    "denom a number": data(denom=7),
}
AMOUNTS = {
    "missing": ABSENT,
    "null": None,
    "empty": "",
    "zero": "0",
    "negative": "-7",
    "minus zero": "-0",
    "plus": "+7",
    "leading zero": "07",
    "octal for Go": "010",
    "hexadecimal for Go": "0x10",
    "binary for Go": "0b11",
    "grouped for Go": "1_000",
    "float": "7.0",
    "exponent": "1e3",
    "blank in front": " 7",
    "blank behind": "7 ",
    "line break": "7\n",
    "null byte": "7\x00",
    "Arabic digits": "\u0667",
    "fullwidth digits": "\uff17",
    "superscript": "\u00b2",
    "2^256": str(2**256),
    "ten thousand digits": "9" * 10_000,
    "NaN": "NaN",
}
RECEIVERS = {
    "missing": (ABSENT, 5),
    "empty": ("", 5),
    "blank": (" ", 5),
    "of another chain": ("cosmos1qyqszqgpqyqszqgpqyqszqgpqyqszqgpjnp7du", 5),
    "bad checksum": (ALICE[:-1] + ("q" if ALICE[-1] != "q" else "p"), 5),
    "upper and lower": (ALICE.upper()[:10] + ALICE[10:], 5),
    "look-alike letter": (ALICE.replace("a", "\u0430", 1), 5),
    "zero width": (ALICE + "\u200b", 5),
    "right to left": ("\u202e" + ALICE, 5),
    "null byte": (ALICE + "\x00", 5),
    "2,049 bytes": ("m" * 2_049, 5),
    "the council": (authority_address(), 2),
    "the collateral module": (MODULE_ADDRESS, 2),
    "the transfer module": (module_address("transfer"), 2),
}
DENOMS = {
    "missing": ABSENT,
    "null": None,
    "empty": "",
    "blank": " ",
    "blank of Unicode": "\u3000",
    "hop alone": "transfer/channel-9/",
    "port that cannot be": "tra\u043fsfer/channel-9/x",
}
MEMOS = {
    "too long": ("m" * 32_769, 11),
    "a megabyte": ("m" * 200_000, 11),
    "too long in bytes": ("\u00e9" * 16_385, 11),
    "unknown account": (deposit(account=9), 2),
    "account of another": (deposit(owner=BOB), 9),
    "owner is the council": (deposit(owner=authority_address()), 9),
    "owner in capitals": (deposit(owner=ALICE.upper()), 9),
    "owner with a blank": (deposit(owner=ALICE + " "), 9),
    "owner empty": (deposit(owner=""), 9),
    "owner a megabyte": (deposit(owner="x" * 30_000), 9),
    "owner a number": ('{"margin":{"deposit":{"owner":7,"account":0}}}', 11),
    "owner null": ('{"margin":{"deposit":{"owner":null,"account":0}}}', 11),
    "owner twice": (
        f'{{"margin":{{"deposit":{{"owner":"{ALICE}","owner":"x","account":0}}}}}}',
        11,
    ),
    "account negative": (deposit(account=-1), 11),
    "account minus zero": ('{"margin":{"deposit":{"owner":"x","account":-0}}}', 11),
    "account a float": (deposit(account=0.0), 11),
    "account with an exponent": ('{"margin":{"deposit":{"owner":"x","account":0e0}}}', 11),
    "account a text": (deposit(account="0"), 11),
    "account true": (deposit(account=True), 11),
    "account null": (deposit(account=None), 11),
    "account 128": (deposit(account=128), 11),
    "account of 10,000 digits": (deposit(account=0).replace("0}", "9" * 9_000 + "}"), 11),
    "field unknown": (deposit(amount="9"), 11),
    "deposit missing": ('{"margin":{}}', 11),
    "deposit a list": ('{"margin":{"deposit":[]}}', 11),
    "another verb": ('{"margin":{"withdraw":{"owner":"x","account":0}}}', 11),
    "margin twice": ('{"margin":{},' + deposit()[1:], 11),
    "margin null": ('{"margin":null}', 11),
    "margin a text": ('{"margin":"deposit"}', 11),
    "margin spelled with escapes": ('{"\\u006dargin":{}}', 11),
    "deep beside it": ('{"x":' + "[" * 5_000 + "]" * 5_000 + "," + deposit()[1:], 11),
}
REFUSED = {
    **{f"data: {name}": (value, 12) for name, value in NO_OBJECT.items()},
    **{f"amount: {name}": (data(amount=value), 5) for name, value in AMOUNTS.items()},
    **{f"receiver: {name}": (data(receiver=v), code) for name, (v, code) in RECEIVERS.items()},
    **{f"denom: {name}": (data(denom=value), 3) for name, value in DENOMS.items()},
    **{f"memo: {name}": (data(memo=value), code) for name, (value, code) in MEMOS.items()},
    "sender: missing": (data(sender=ABSENT), 5),
    "sender: blank": (data(sender="\t"), 5),
    "deposit: below the least": (data(amount="1", memo=deposit()), 8),
    "deposit: over the cap": (data(amount="1001", memo=deposit()), 7),
    "deposit: of all there is": (data(amount=str(2**256 - 1), memo=deposit()), 7),
    "deposit: not listed": (data(denom="stake", memo=deposit()), 6),
    "deposit: of a longer way": (data(denom="transfer/channel-9/samoleans", memo=deposit()), 6),
    "return: more than was sent": (data(denom=f"transfer/channel-0/{DENOM}"), 5),
    "return: of a voucher never sent": (data(denom="transfer/channel-0/transfer/channel-9/x"), 5),
}


@pytest.mark.parametrize(("payload", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_moves_nothing(path: Path, payload: bytes, code: int) -> None:
    before = take_picture(path)
    answer = path.b.recv(path.a.send_packet(payload))
    assert is_refusal(answer, code), answer
    assert take_picture(path) == before


def test_after_all_of_them_the_hub_lives_and_a_deposit_counts(path: Path) -> None:
    assert_alive(path.b.chain)
    lien = get_lien(path, get_voucher(path))
    assert path.b.recv(path.a.send_packet(data(amount="700", memo=deposit()))) == ACCEPTED
    assert get_lien(path, get_voucher(path)) == lien + 700
    assert bank.find_broken_supply(path.b.chain.read_context()) is None


ORDINARY = {
    "no memo": b"",
    "text": b"thanks",
    "JSON of others": b'{\\"wasm\\":{\\"contract\\":\\"x\\"}}',
    "another case": b'{\\"Margin\\":{\\"deposit\\":{}}}',
    "look-alike key": '{\\"m\u0430rgin\\":{}}'.encode(),
    "key within": b'{\\"forward\\":{\\"margin\\":{}}}',
    "list": b'[\\"margin\\"]',
    "broken JSON": b'{\\"margin\\":',
    "null byte": b'\\u0000{\\"margin\\":{}}',
    "float": b'{\\"a\\":1e400,\\"b\\":0.1}',
    "32,768 bytes": b"m" * 32_768,
}


@pytest.mark.parametrize("memo", ORDINARY.values(), ids=ORDINARY.keys())
def test_a_memo_without_the_key_is_an_ordinary_transfer(path: Path, memo: bytes) -> None:
    held = path.b.chain.balance("alice", get_voucher(path))
    lien = get_lien(path, get_voucher(path))
    payload = data(memo="@").replace(b"@", memo)
    assert path.b.recv(path.a.send_packet(payload)) == ACCEPTED
    assert path.b.chain.balance("alice", get_voucher(path)) == held + 7
    assert get_lien(path, get_voucher(path)) == lien


def test_an_equal_key_later_in_the_data_wins_as_in_go(path: Path) -> None:
    held = path.b.chain.balance("bob", get_voucher(path))
    payload = data(receiver=ALICE)[:-1] + f',"receiver":"{BOB}","AMOUNT":"3","x":[]}}'.encode()
    assert path.b.recv(path.a.send_packet(payload)) == ACCEPTED
    assert path.b.chain.balance("bob", get_voucher(path)) == held + 3


def test_supply_stops_at_2_to_the_256(fresh: Path) -> None:
    most = str(2**256 - 1)
    assert fresh.b.recv(fresh.a.send_packet(data(denom="big", amount=most))) == ACCEPTED
    before = take_picture(fresh)
    answer = fresh.b.recv(fresh.a.send_packet(data(denom="big", amount="1")))
    assert re.match(rb'\{"error":"ABCI code: [0-9]+: error handling packet', answer)
    assert take_picture(fresh) == before


def open_second(fresh: Path) -> Path:
    """A channel from the hub to another liar, which is no route."""
    liar = Endpoint(LiarChain(fresh.a.chain.clock, "ibc-9"), channel_config=CONFIG)
    return Path(liar, Endpoint(fresh.b.chain, channel_config=CONFIG)).setup()


def send(path: Path, amount: int) -> Packet:
    """Coins of the hub's alice on their way to the liar."""
    message = transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel=path.b.channel_id,
        token=coin_pb2.Coin(denom=DENOM, amount=str(amount)),
        sender=ALICE,
        receiver="cosmos1x",
        timeout_timestamp=path.b.chain.clock.now_ns + 600 * NANOSECONDS,
    )
    return read_packet(path.b.chain.deliver(message))


def give_back(path: Path, amount: int) -> bytes:
    """The hub's answer to coins of its own that the liar returns."""
    denom = f"transfer/{path.a.channel_id}/{DENOM}"
    return path.b.recv(path.a.send_packet(data(denom=denom, amount=str(amount))))


def test_a_channel_without_a_route_takes_no_deposit(fresh: Path) -> None:
    other = open_second(fresh)
    answer = other.b.recv(other.a.send_packet(data(memo=deposit())))
    assert is_refusal(answer, 2), answer
    assert get_lien(fresh, get_voucher(fresh)) == 0


def test_a_liar_empties_its_own_escrow_and_no_other(fresh: Path) -> None:
    """Also when strangers gave coins to the escrow account: others' returns are still paid."""
    other, hub = open_second(fresh), fresh.b.chain
    send(fresh, 50)
    send(other, 30)
    assert is_refusal(give_back(fresh, 51), 5)
    escrow = compute_escrow_address("transfer", fresh.b.channel_id)
    gift = bank_tx.MsgSend(
        from_address=ALICE, to_address=escrow, amount=[coin_pb2.Coin(denom=DENOM, amount="10")]
    )
    hub.deliver(gift)
    assert is_refusal(give_back(fresh, 61), 5)
    assert give_back(fresh, 60) == ACCEPTED
    assert give_back(other, 30) == ACCEPTED
    assert is_refusal(give_back(other, 1), 5)
    ctx = hub.read_context()
    assert transfer.get_total_escrow(ctx, DENOM) == 0
    assert bank.find_broken_supply(ctx) is None


ANSWERS = {
    "blank": b" ",
    "no JSON": b"success",
    "protobuf": b"\x0a\x01\x01",
    "neither": b"{}",
    "null": b"null",
    "both": b'{"result":"AQ==","error":"x"}',
    "both, error first": b'{"error":"x","result":"AQ=="}',
    "result twice": b'{"result":"AQ==","result":"AQ=="}',
    "error twice": b'{"error":"x","error":"y"}',
    "result null": b'{"result":null}',
    "error null": b'{"error":null}',
    "error an object": b'{"error":{"code":1}}',
    "error a number": b'{"error":5}',
    "result a number": b'{"result":1}',
    "result no base64": b'{"result":"%%"}',
    "result without padding": b'{"result":"AQ"}',
    "result with bits behind": b'{"result":"AR=="}',
    "unknown field": b'{"result":"AQ==","memo":"x"}',
    "another case": b'{"Result":"AQ=="}',
    "blank behind": ACCEPTED + b" ",
    "line break behind": ACCEPTED + b"\n",
    "blank within": b'{"result": "AQ=="}',
    "null byte behind": ACCEPTED + b"\x00",
    "two of them": ACCEPTED * 2,
    "byte order mark": b"\xef\xbb\xbf" + ACCEPTED,
    "invalid UTF-8": b'{"error":"\xff"}',
    "half of an escaped pair": b'{"error":"\\ud800"}',
    "escapes of plain letters": b'{"error":"\\u0041"}',
    "unescaped less-than": b'{"error":"<"}',
    "deep": b'{"error":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a megabyte": b'{"error":"' + b"x" * 300_000 + b'"}',
}


def answer_with(path: Path, packet: Packet, answer: bytes) -> tuple[str, int]:
    """How the hub takes an answer that the liar wrote and proves: ("", 0) when it settles."""
    assert isinstance(path.a.chain, LiarChain)
    path.a.chain.liar.answer = answer
    path.a.recv(packet)
    try:
        assert path.b.acknowledge(packet, answer) == SUCCESS
    except TxRefused as error:
        return error.code
    return ("", 0)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_of_another_form_settles_nothing(path: Path, answer: bytes) -> None:
    """The coins stay in the liar's escrow: it could have kept them by any lie."""
    packet = send(path, 40)
    before = take_picture(path)
    codespace, code = answer_with(path, packet, answer)
    assert codespace, "the answer was taken"
    assert (codespace, code) != ("sdk", 1), "no unexpected exception"
    assert path.b.has_commitment(packet)
    assert take_picture(path) == before


def test_an_error_refunds_once_and_a_success_keeps(path: Path) -> None:
    balance = path.b.chain.balance("alice", DENOM)
    refused, kept = send(path, 40), send(path, 40)
    error = b'{"error":"any words of the other chain \\u003c"}'
    assert answer_with(path, refused, error) == ("", 0)
    assert path.b.acknowledge(refused, error) == NOOP
    assert answer_with(path, kept, b'{"result":"aW52ZW50ZWQ="}') == ("", 0)
    paid = balance - path.b.chain.balance("alice", DENOM)
    assert 40 <= paid < 80 + 10**9  # The fees of the messages above, and 40 that are kept.
    assert transfer.get_total_escrow(path.b.chain.read_context(), DENOM) % 40 == 0
    assert_alive(path.b.chain)
