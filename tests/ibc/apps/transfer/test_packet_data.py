import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import ChainError
from chain.ibc.apps.transfer.denoms import parse_path
from chain.ibc.apps.transfer.errors import (
    InvalidDenom,
    InvalidMemo,
    InvalidPacketData,
    InvalidTransferAddress,
    InvalidTransferAmount,
)
from chain.ibc.apps.transfer.packet_data import (
    SUCCESS,
    Acknowledgement,
    TransferData,
    decode_acknowledgement,
    decode_packet_data,
    encode_acknowledgement,
    encode_error,
    encode_packet_data,
)
from chain.ibc.errors import InvalidAcknowledgement

VALID = {"denom": "uatom", "amount": "7", "sender": "a", "receiver": "b", "memo": "m"}


def encode(**changes):
    return json.dumps({**VALID, **changes}).encode()


def test_valid_data_decodes():
    expected = TransferData(parse_path("uatom"), 7, "a", "b", "m")
    assert decode_packet_data(encode()) == expected


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        *(
            ({"amount": amount}, InvalidTransferAmount)
            for amount in (
                "", "0", "-1", "+1", "01", "010", "0x10", "0b11", "1_000", "1e3", "1.0", " 1",
                "\uff11", str(2**256),
            )
        ),
        ({"amount": 7}, InvalidPacketData),
        ({"amount": True}, InvalidPacketData),
        ({"denom": {}}, InvalidPacketData),
        ({"denom": ""}, InvalidDenom),
        ({"denom": "transfer/channel-0/ "}, InvalidDenom),
        ({"denom": "a/channel-0/x"}, InvalidDenom),
        ({"sender": " "}, InvalidTransferAddress),
        ({"receiver": ""}, InvalidTransferAddress),
        ({"receiver": "r" * 2_049}, InvalidTransferAddress),
        ({"receiver": "é" * 1_025}, InvalidTransferAddress),
        ({"memo": "m" * 32_769}, InvalidMemo),
    ],
)  # fmt: skip
def test_one_bad_field_is_refused(changes, error):
    with pytest.raises(error):
        decode_packet_data(encode(**changes))


def test_limits_are_inclusive():
    data = decode_packet_data(
        encode(receiver="r" * 2_048, memo="m" * 32_768, amount=str(2**256 - 1))
    )
    assert (len(data.receiver), len(data.memo), data.amount) == (2_048, 32_768, 2**256 - 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        encode() + b"x",
        encode()[:-1],
        b"\xef\xbb\xbf" + encode(),
        b"\xff" + encode(),
        encode(extra=float("nan")),
        encode(memo="\ud800"),
        b'{"\\udfff":"1"}',
        b"[" * 200_000,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b'{"memo":"' + b"x" * 300_000 + b'"}',
    ],
)
def test_what_is_no_bounded_json_object_is_refused(data):
    start = time.perf_counter()
    with pytest.raises(InvalidPacketData):
        decode_packet_data(data)
    assert time.perf_counter() - start < 1


def test_keys_are_read_as_go_reads_them():
    data = (
        b'{"AMOUNT":"1","amount":"2","denom":"x","\\u017fender":"a","receiver":"b",'
        b'"memo":null,"other":[1,{"amount":"9"}]}'
    )
    assert decode_packet_data(data) == TransferData(parse_path("x"), 2, "a", "b")


def test_brackets_inside_a_text_are_no_depth():
    memo = '{"' + "[" * 5_000 + '\\"}'
    assert decode_packet_data(encode(memo=memo)).memo == memo


def test_data_is_written_as_go_writes_it():
    data = TransferData(
        parse_path("transfer/channel-0/x"), 5, "a", "b", '<&>\u2028\u2029é\n\x01"\\'
    )
    assert (
        encode_packet_data(data)
        == (
            '{"denom":"transfer/channel-0/x","amount":"5","sender":"a","receiver":"b",'
            '"memo":"\\u003c\\u0026\\u003e\\u2028\\u2029é\\n\\u0001\\"\\\\"}'
        ).encode()
    )
    assert decode_packet_data(encode_packet_data(data)) == data


@given(st.text(max_size=50), st.integers(1, 2**256 - 1))
def test_written_data_reads_back(memo, amount):
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in memo):
        return
    data = TransferData(parse_path("transfer/channel-0/x"), amount, "a", "b", memo)
    assert decode_packet_data(encode_packet_data(data)) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data):
    for decode in (decode_packet_data, decode_acknowledgement):
        try:
            decode(data)
        except ChainError:
            continue


def test_acknowledgements_read_back():
    assert decode_acknowledgement(SUCCESS) == Acknowledgement(result=b"\x01")
    error = encode_error(InvalidTransferAmount("a text that may differ between nodes"))
    assert error == b'{"error":"ABCI code: 5: error handling packet: see events for details"}'
    assert decode_acknowledgement(error).error
    assert decode_acknowledgement(b"{}") == Acknowledgement()
    assert encode_acknowledgement(Acknowledgement(error="<")) == b'{"error":"\\u003c"}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"result":"AQ=="} ',
        b' {"result":"AQ=="}',
        b'{"result": "AQ=="}',
        b'{"result":"AQ=="}x',
        b'{"result":"AQ"}',
        b'{"result":"AR=="}',
        b'{"result":"AQ=\\n="}',
        b'{"result":1}',
        b'{"result":null}',
        b'{"Result":"AQ=="}',
        b'{"result":"AQ==","result":"AQ=="}',
        b'{"error":"x","result":"AQ=="}',
        b'{"error":"x","other":1}',
        b'{"error":"<"}',
        b'{"error":"\\u0041"}',
        b'{"\\u0065rror":"x"}',
        b'{"error":{"error":"x"}}',
        b"[" * 5_000,
    ],
)
def test_acknowledgements_of_another_form_are_refused(data):
    with pytest.raises(InvalidAcknowledgement):
        decode_acknowledgement(data)
