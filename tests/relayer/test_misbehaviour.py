"""Detection of forks: real signed headers of one height that differ, and what is not a fork."""

from dataclasses import replace

import pytest

from chain._pb.cosmos.tx.v1beta1 import tx_pb2
from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain.client.transaction import pack_any
from chain.ibc.client.tendermint_wire import (
    header_to_pb,
    signed_header_from_pb,
    signed_header_to_pb,
    validator_set_from_pb,
    validator_set_to_pb,
)
from chain.lightclient.types import UntrustedBlock
from chain.lightclient.verifier import Success, verify_misbehaviour_header
from relayer.headers import to_consensus_state
from relayer.messages import update_client
from relayer.misbehaviour import Finding, build_evidence, compare, find_accepted_header
from tests.support.headers import OPTIONS, HeaderChain, TestValidatorSet

HEIGHT = 5
CLIENT = "07-tendermint-0"


@pytest.fixture(scope="module")
def chain():
    made = HeaderChain(TestValidatorSet.create([10, 10, 10]))
    for _ in range(HEIGHT):
        made.append()
    return made


@pytest.fixture(scope="module")
def fork(chain):
    """The block of the height as the same validators signed it a second time."""
    return chain.at(HEIGHT).resign(lambda header: replace(header, app_hash=b"\x01" * 32))


def to_message(block, trusted):
    validators = validator_set_to_pb(block.validators.validators)
    return tendermint_pb2.Header(
        signed_header=signed_header_to_pb(block.signed_header),
        validator_set=validators,
        trusted_height=client_pb2.Height(revision_number=1, revision_height=trusted.header.height),
        trusted_validators=validator_set_to_pb(trusted.next_validators.validators),
    )


def test_a_client_that_keeps_the_chains_own_header_agrees(chain):
    header = header_to_pb(chain.at(HEIGHT).header)
    assert compare(to_consensus_state(header), header) is Finding.AGREES


@pytest.mark.parametrize(
    "change",
    [
        {"app_hash": b"\x01" * 32},
        {"time_ns": 1_772_366_400_000_000_001},
        {"next_validators_hash": b"\x02" * 32},
    ],
)
def test_any_difference_in_what_a_client_keeps_contradicts(chain, change):
    kept = to_consensus_state(header_to_pb(replace(chain.at(HEIGHT).header, **change)))
    assert compare(kept, header_to_pb(chain.at(HEIGHT).header)) is Finding.CONTRADICTS


def test_a_height_the_chain_has_not_reached_says_nothing(chain):
    kept = to_consensus_state(header_to_pb(chain.at(HEIGHT).header))
    assert compare(kept, None) is Finding.UNKNOWN


def test_evidence_holds_two_headers_that_both_verify_and_differ(chain, fork):
    trusted = chain.at(2)
    accepted, actual = to_message(fork, trusted), to_message(chain.at(HEIGHT), trusted)
    message = build_evidence(CLIENT, accepted, actual, "margin1signer")
    evidence = tendermint_pb2.Misbehaviour.FromString(message.client_message.value)
    assert message.client_message.type_url == "/ibc.lightclients.tendermint.v1.Misbehaviour"
    assert (evidence.client_id, message.client_id) == (CLIENT, CLIENT)
    hashes = set()
    for header in (evidence.header_1, evidence.header_2):
        signed = signed_header_from_pb(header.signed_header)
        block = UntrustedBlock(signed, validator_set_from_pb(header.validator_set))
        now_ns = chain.at(HEIGHT).header.time_ns
        verdict = verify_misbehaviour_header(trusted.trusted, block, OPTIONS, now_ns)
        assert verdict == Success()
        hashes.add(signed.commit.block_id.hash)
    assert len(hashes) == 2


def test_without_the_accepted_header_the_actual_one_is_the_evidence(chain):
    actual = to_message(chain.at(HEIGHT), chain.at(2))
    message = build_evidence(CLIENT, None, actual, "margin1signer")
    assert message.client_message.type_url == "/ibc.lightclients.tendermint.v1.Header"
    assert tendermint_pb2.Header.FromString(message.client_message.value) == actual


def build_tx(*messages):
    body = tx_pb2.TxBody(messages=[pack_any(message) for message in messages])
    return tx_pb2.TxRaw(body_bytes=body.SerializeToString()).SerializeToString()


def test_the_accepted_header_is_found_in_its_transaction(chain, fork):
    honest = to_message(chain.at(3), chain.at(2))
    forged = to_message(fork, chain.at(3))
    tx = build_tx(update_client(CLIENT, honest, "a"), update_client(CLIENT, forged, "a"))
    assert find_accepted_header(tx, CLIENT, HEIGHT) == forged
    assert find_accepted_header(tx, CLIENT, 3) == honest


@pytest.mark.parametrize(("client", "height"), [("07-tendermint-1", HEIGHT), (CLIENT, HEIGHT + 1)])
def test_a_header_of_another_client_or_height_is_not_taken(fork, chain, client, height):
    tx = build_tx(update_client(CLIENT, to_message(fork, chain.at(2)), "a"))
    assert find_accepted_header(tx, client, height) is None


def test_bytes_that_are_no_transaction_hold_no_header():
    assert find_accepted_header(b"\xff\xff", CLIENT, HEIGHT) is None
