"""The explicit test of each known failure; known_failures.py says which row is which."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.tx.v1beta1 import tx_pb2
from chain._pb.ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.council.v1 import council_pb2
from chain.client.wallet import decode_address, encode_address
from chain.errors import get_registered_errors
from chain.ibc import host
from chain.ibc.apps.transfer.denoms import BLANKS, Denom, compute_escrow_address
from chain.ibc.apps.transfer.packet_data import encode_error
from chain.ibc.channel.handlers import SUCCESS
from chain.ibc.client import state as client_state
from chain.ibc.router import Packet
from chain.lightclient.types import TOTAL_POWER_MAX, ValidatorSet
from chain.merkle import ics23
from chain.modules.accounts.types import NUMBER_MAX
from chain.modules.bank import state as bank
from chain.runtime.router import pack
from chain.units import NANOSECONDS
from localnet.cometbft import COMETBFT_VERSION
from tests.adversarial.test_hostile_peer import ANSWERS
from tests.adversarial.world import World, assert_alive, assert_refused, judge_message
from tests.support.headers import TestBlock, TestValidatorSet
from tests.support.testchain import DENOM, Account
from tests.twochain.chain import TxRefused
from tests.twochain.hostile_peer import ACCEPTED, build_hostile_path
from tests.twochain.path import Coordinator, Path, get_acknowledgement, get_events
from tests.twochain.test_margin import read_packet

ALICE = str(Account.named("alice").address)
BOB = str(Account.named("bob").address)
BASE = "samoleans"


@pytest.fixture
def path() -> Path:
    """A hostile chain (a) and the hub (b), joined by a transfer channel that is a route."""
    return build_hostile_path(BASE)


@pytest.fixture
def clients() -> Path:
    made = Coordinator().create_echo_path()
    made.create_clients()
    return made


def refused(action: Callable[[], Any]) -> tuple[str, int]:
    with pytest.raises(TxRefused) as caught:
        action()
    return caught.value.code


def send(path: Path, amount: int = 40, timeout_s: int = 600, **changes: Any) -> Packet:
    """Coins of the hub's alice on their way to the other chain."""
    fields = {
        "source_port": "transfer",
        "source_channel": path.b.channel_id,
        "token": coin_pb2.Coin(denom=DENOM, amount=str(amount)),
        "sender": ALICE,
        "receiver": "cosmos1x",
        "timeout_timestamp": path.b.chain.clock.now_ns + timeout_s * NANOSECONDS,
    }
    return read_packet(path.b.chain.deliver(transfer_tx.MsgTransfer(**{**fields, **changes})))


def data(**changes: str) -> bytes:
    fields = {"denom": BASE, "amount": "7", "sender": "cosmos1x", "receiver": ALICE, **changes}
    return json.dumps(fields, separators=(",", ":")).encode()


def deposit(owner: str) -> str:
    return json.dumps({"margin": {"deposit": {"owner": owner, "account": 0}}})


def get_escrow(path: Path) -> int:
    escrow = compute_escrow_address("transfer", path.b.channel_id)
    return bank.get_balance(path.b.chain.read_context(), escrow, DENOM)


# Proofs ------------------------------------------------------------------------------------------


def test_forged_absence_refunds_nothing(path: Path) -> None:
    packet = send(path, 40, timeout_s=60)
    kept = send(path, 5, timeout_s=60)
    path.a.recv(packet)
    path.a.chain.clock.advance(61 * NANOSECONDS)
    message = path.b.build_timeout(packet)
    receipts = [
        host.packet_receipt_path("transfer", path.a.channel_id, number)
        for number in (packet.sequence, kept.sequence)
    ]
    forged = [path.a.chain.prove(receipt).data for receipt in receipts]
    absent = commitment_pb2.MerkleProof.FromString(forged[1])
    for side in ("left", "right"):
        half = commitment_pb2.MerkleProof()
        half.CopyFrom(absent)
        half.proofs[0].nonexist.ClearField(side)
        half.proofs[0].nonexist.key = receipts[0]
        forged.append(half.SerializeToString())
    swapped = commitment_pb2.MerkleProof()
    swapped.CopyFrom(absent)
    left, right = absent.proofs[0].nonexist.left, absent.proofs[0].nonexist.right
    swapped.proofs[0].nonexist.left.CopyFrom(right)
    swapped.proofs[0].nonexist.right.CopyFrom(left)
    forged.append(swapped.SerializeToString())
    for proof in forged:
        message.proof_unreceived = proof
        assert refused(lambda: path.b.chain.deliver(message))[0] == "commitment"
    assert get_escrow(path) == 45
    assert path.b.timeout(kept) == SUCCESS, "a true absence refunds"
    assert get_escrow(path) == 40


def test_proof_with_anything_added_is_refused(path: Path) -> None:
    good = path.b.build_recv(path.a.send_packet(data()))
    proof = commitment_pb2.MerkleProof.FromString(good.proof_commitment)

    def change(alter: Callable[[commitment_pb2.MerkleProof], None]) -> bytes:
        copy = commitment_pb2.MerkleProof()
        copy.CopyFrom(proof)
        alter(copy)
        return copy.SerializeToString()

    def repeat_step(copy: commitment_pb2.MerkleProof) -> None:
        copy.proofs[0].exist.path.append(copy.proofs[0].exist.path[0])

    def add_both_sides(copy: commitment_pb2.MerkleProof) -> None:
        exist = proof.proofs[0].exist
        copy.proofs[0].nonexist.left.CopyFrom(exist)
        copy.proofs[0].nonexist.right.CopyFrom(exist)

    hostile = [
        good.proof_commitment + b"\xfa\x3e\x01x",  # Field 1007.
        good.proof_commitment + b"\x10\x01",  # Field 2 of the proof itself.
        change(repeat_step),
        change(add_both_sides),
        change(lambda copy: copy.proofs.append(copy.proofs[1])),
        change(lambda copy: copy.proofs[1].exist.path[0].MergeFromString(b"\x22\x01x")),
        change(lambda copy: copy.proofs[0].exist.leaf.MergeFromString(b"\x32\x01x")),
    ]
    for forged in hostile:
        message = type(good)()
        message.CopyFrom(good)
        message.proof_commitment = forged
        assert refused(lambda message=message: path.b.chain.deliver(message))[0] == "commitment"
    assert get_acknowledgement(path.b.chain.deliver(good)) == ACCEPTED


@pytest.mark.parametrize("level", [0, 1])
def test_client_with_overlapping_prefixes_is_not_created(path: Path, level: int) -> None:
    """MaxPrefix >= MinPrefix + ChildSize: one proof reads as two trees (ics23 audit)."""
    client = path.b.build_client_state()
    inner = client.proof_specs[level].inner_spec
    inner.max_prefix_length = inner.min_prefix_length + inner.child_size
    message = path.b.build_create_client()
    message.client_state.CopyFrom(pack(client))
    before = client_state.get_next_client_sequence(path.b.chain.read_context())
    assert refused(lambda: path.b.chain.deliver(message)) == ("commitment", 3)
    assert client_state.get_next_client_sequence(path.b.chain.read_context()) == before


_LENGTHS = st.sampled_from([-(2**31), -1, 0, 1, 4, 12, 32, 33, 36, 37, 64, 2**31 - 1])


@settings(max_examples=200, deadline=None)
@given(
    order=st.lists(st.integers(-2, 17), max_size=5),
    sizes=st.tuples(_LENGTHS, _LENGTHS, _LENGTHS),
    empty=st.binary(max_size=40),
)
def test_any_proof_spec_is_judged_without_another_exception(
    order: list[int], sizes: tuple[int, int, int], empty: bytes
) -> None:
    size, low, high = sizes
    inner = ics23.InnerSpec(tuple(order), size, low, high, empty, 1)
    spec = ics23.IAVL_SPEC._replace(inner=inner)
    with suppress(ics23.InvalidProofSpec):
        ics23.validate_spec(spec)
        assert high < low + size, "no child may fit into a prefix"
        leaf = ics23.ExistenceProof(b"a", b"v", spec.leaf, (ics23.InnerOp(1, b"\x02" * 9, b""),))
        with suppress(ics23.InvalidProof):
            absent = ics23.NonExistenceProof(b"b", leaf, leaf)
            ics23.verify_non_existence(absent, spec, bytes(32), b"b")


# Packets and accounts ----------------------------------------------------------------------------


def test_timeout_twice_in_one_transaction_refunds_once(path: Path) -> None:
    packets = [send(path, 40, timeout_s=60), send(path, 40)]
    path.a.chain.clock.advance(61 * NANOSECONDS)
    message = path.b.build_timeout(packets[0])
    path.b.chain.deliver(message, message, message)
    assert get_escrow(path) == 40, "the other packet's coins are still there"
    assert bank.find_broken_supply(path.b.chain.read_context()) is None


def test_events_of_a_refused_deposit_are_gone(path: Path) -> None:
    """The voucher was minted, named and moved before the cap refused the lien."""
    packet = path.a.send_packet(data(amount="1001", memo=deposit(ALICE)))
    result = path.b.chain.deliver(path.b.build_recv(packet))
    assert get_acknowledgement(result).startswith(b'{"error":"ABCI code: 7:')
    voucher = Denom(BASE).with_hop("transfer", path.b.channel_id).local_denom
    (refusal,) = get_events(result.events, "packet_refused")
    assert refusal["codespace"] == "collateral"
    said = [event.type for event in result.events if voucher in str(event)]
    assert set(said) == {"packet_refused"}, "the refusal alone names it"
    for kind in ("coinbase", "denomination", "fungible_token_packet", "collateral_credited"):
        assert not get_events(result.events, kind)
    assert bank.get_supply(path.b.chain.read_context(), voucher) == 0


def test_nobody_poisons_another_ones_account(path: Path) -> None:
    hub = path.b.chain
    stolen = accounts_tx.MsgCreateAccount(owner=BOB, number=0)
    assert judge_message(hub, stolen, signer="alice").code == ("sdk", 8)
    for number in (NUMBER_MAX + 1, 2**32 - 1):
        absurd = accounts_tx.MsgCreateAccount(owner=BOB, number=number)
        codespace, _ = judge_message(hub, absurd, signer="bob").code
        assert codespace == "accounts"
    # A deposit that names bob neither opens his account nor keeps him from it.
    path.b.recv(path.a.send_packet(data(memo=deposit(BOB))))
    hub.deliver(accounts_tx.MsgCreateAccount(owner=BOB, number=0), signer="bob")
    path.b.recv(path.a.send_packet(data(amount="700", receiver=BOB, memo=deposit(BOB))))
    voucher = Denom(BASE).with_hop("transfer", path.b.channel_id).local_denom
    withdrawal = collateral_tx.MsgWithdrawCollateral(
        owner=BOB,
        route_id="simd",
        denom=voucher,
        amount="700",
        receiver=encode_address(decode_address(BOB), "cosmos"),
    )
    verdict = judge_message(hub, withdrawal, signer="bob")
    assert verdict.code == ("", 0), verdict.log


def test_wrapped_messages_meet_the_same_refusal(world: World) -> None:
    carol = world.address("carol")
    restricted = [
        bank_tx.MsgSend(
            from_address=carol,
            to_address=ALICE,
            amount=[coin_pb2.Coin(denom=DENOM, amount="1")],
        ),
        accounts_tx.MsgWithdrawCash(owner=carol, amount_uusd="1"),
        collateral_tx.MsgWithdrawCollateral(
            owner=carol, route_id="alpha", denom="aeth", amount="1", receiver=ALICE
        ),
    ]
    for message in restricted:
        assert judge_message(world.hub, message).code == ("sdk", 8)
        wrapped = council_pb2.MsgSubmitProposal(proposer=ALICE, messages=[pack(message)])
        assert_refused(world.hub, wrapped, ("sdk", 4))
        twice = council_pb2.MsgSubmitProposal(proposer=ALICE, messages=[pack(wrapped)])
        assert_refused(world.hub, twice, ("sdk", 4))


# Acknowledgements --------------------------------------------------------------------------------

_JUDGE = """
import sys
from chain.client.wallet import decode_address, encode_address
from chain.errors import ChainError
from chain.ibc.apps.transfer.packet_data import decode_acknowledgement
for line in sys.stdin.read().split():
    try:
        print(decode_acknowledgement(bytes.fromhex(line)))
    except ChainError as error:
        print(error.codespace, error.code)
"""


def test_processes_agree_on_every_answer() -> None:
    answers = [ACCEPTED, b'{"error":"x"}', *ANSWERS.values()]
    lines = "\n".join(answer[:10_000].hex() for answer in answers)
    verdicts = {
        subprocess.run(
            [sys.executable, "-c", _JUDGE],
            input=lines,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(verdicts) == 1
    (said,) = verdicts
    assert len(said.splitlines()) == len(answers)


def test_acknowledgements_hold_nothing_of_an_error_but_its_code() -> None:
    form = re.compile(rb'\{"error":"ABCI code: [0-9]+: error handling packet: see events[a-z ]*"\}')
    for kind in get_registered_errors():
        texts = ("at 0x7f3a2c", str({"b", "a"}), 'quotes " and\nlines', "é" * 3_000)
        answers = {encode_error(kind(text)) for text in texts}
        assert len(answers) == 1
        assert form.fullmatch(answers.pop())


# Headers -----------------------------------------------------------------------------------------


def alter(end: Any, change: Callable[[tendermint_pb2.Header], None]) -> Any:
    """A good update of a client with one thing changed."""
    end.counterparty.chain.next_block()
    header = end.build_header()
    change(header)
    return end.build_update(header)


def get_signatures(header: tendermint_pb2.Header) -> Any:
    return header.signed_header.commit.signatures


def copy_vote(header: tendermint_pb2.Header) -> None:
    for signature in get_signatures(header):
        signature.CopyFrom(get_signatures(header)[0])


def swap_addresses(header: tendermint_pb2.Header) -> None:
    first, second = get_signatures(header)[0], get_signatures(header)[1]
    first.validator_address, second.validator_address = (
        second.validator_address,
        first.validator_address,
    )


def delay_votes(header: tendermint_pb2.Header) -> None:
    for signature in get_signatures(header):
        signature.timestamp.seconds += 3_600


@pytest.mark.parametrize("change", [copy_vote, swap_addresses, delay_votes])
def test_altered_votes_are_refused(
    clients: Path, change: Callable[[tendermint_pb2.Header], None]
) -> None:
    before = clients.a.get_client_height()
    message = alter(clients.a, change)
    assert refused(lambda: clients.a.chain.deliver(message))[0] == "lightclient"
    assert clients.a.get_client_height() == before
    clients.a.update_client()


def test_cometbft_is_past_every_fix() -> None:
    """0.38.21 for block time, .22 for evidence and 0.38.15 for proposer priorities."""
    assert tuple(map(int, COMETBFT_VERSION.split("."))) >= (0, 38, 22)


def test_liquidations_bear_a_jump_of_time(moving: World) -> None:
    """An hour passes between two blocks with an auction under way: no price of before counts."""
    moving.hub.clock.advance(3_600 * NANOSECONDS)
    moving.run(3)
    assert not moving.hub.app.errors.by_place
    assert bank.find_broken_supply(moving.hub.read_context()) is None
    assert_alive(moving.hub)


@pytest.mark.parametrize("power", [-1, 0, -(2**63), 2**63 - 1, TOTAL_POWER_MAX + 1])
def test_power_out_of_bounds_is_refused_by_the_client(clients: Path, power: int) -> None:
    def change(header: tendermint_pb2.Header) -> None:
        for members in (header.validator_set, header.trusted_validators):
            members.validators[0].voting_power = power
        del get_signatures(header)[:]

    message = alter(clients.a, change)
    codespace, _ = refused(lambda: clients.a.chain.deliver(message))
    assert codespace in ("lightclient", "07-tendermint", "client")
    assert clients.a.get_status() == "Active"


def test_proposer_priorities_of_a_header_decide_nothing(clients: Path) -> None:
    """Two relayers show the same header with other priorities and another proposer."""
    clients.b.chain.next_block()
    honest, lying = clients.a.build_header(), clients.a.build_header()
    for members in (lying.validator_set, lying.trusted_validators):
        for index, validator in enumerate(members.validators):
            validator.proposer_priority = 10**12 - 7 * index
        members.proposer.CopyFrom(members.validators[-1])
    clients.a.chain.deliver(clients.a.build_update(honest))
    height = clients.a.get_client_height()
    ctx = clients.a.chain.read_context()
    kept = client_state.get_consensus_state(ctx, clients.a.client_id, height)
    clients.a.chain.deliver(clients.a.build_update(lying))
    ctx = clients.a.chain.read_context()
    assert client_state.get_consensus_state(ctx, clients.a.client_id, height) == kept
    assert clients.a.get_status() == "Active", "no misbehaviour either"


def build_evidence(path: Path, second: TestBlock) -> Any:
    end = path.a
    evidence = tendermint_pb2.Misbehaviour(
        client_id=end.client_id,
        header_1=end.build_header(path.b.chain.latest_block),
        header_2=end.build_header(second),
    )
    return end.build_update(evidence)


def test_evidence_with_bogus_signatures_blames_nobody(clients: Path) -> None:
    clients.b.chain.next_block()
    fork = clients.b.chain.latest_block.resign(lambda header: replace(header, data_hash=b"d" * 32))
    signatures = list(fork.signed_header.commit.signatures)
    bogus = [signatures[0], *(replace(s, signature=bytes(64)) for s in signatures[1:])]
    commit = replace(fork.signed_header.commit, signatures=tuple(bogus))
    weak = replace(fork, signed_header=replace(fork.signed_header, commit=commit))
    message = build_evidence(clients, weak)
    assert refused(lambda: clients.a.chain.deliver(message))[0] == "lightclient"
    assert clients.a.get_status() == "Active"


def test_a_third_that_equivocates_freezes_the_client(clients: Path) -> None:
    """Two of four trusted validators sign a fork whose own set they rule: it passes 1/3."""
    clients.b.chain.next_block()
    clients.b.chain.next_block()
    trusted = clients.a.get_client_height()
    block = clients.b.chain.latest_block
    members = block.validators
    rogue = TestValidatorSet(ValidatorSet(members.validators.validators[:2]), members.keys[:2])
    fork = replace(block, validators=rogue).resign(
        lambda header: replace(header, app_hash=b"f" * 32, validators_hash=rogue.hash)
    )
    clients.a.chain.deliver(clients.a.build_update(clients.a.build_header(fork, trusted=trusted)))
    assert clients.a.get_status() == "Active", "nothing contradicts it yet"
    honest = clients.a.build_header(block, trusted=trusted)
    clients.a.chain.deliver(clients.a.build_update(honest))
    assert clients.a.get_status() == "Frozen"


# Transactions ------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def wrap(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def test_deep_and_many_anys_are_refused_at_once(path: Path) -> None:
    hub = path.b.chain
    deep = b""
    for _ in range(5_000):
        deep = wrap(2, deep)
    auth_info = hub.draft([bank_tx.MsgSend(from_address=ALICE)]).auth_info.SerializeToString()
    bodies = [wrap(1, wrap(2, deep)), deep, wrap(1, b"") * 500_000]
    for body in bodies:
        raw = tx_pb2.TxRaw(body_bytes=body, auth_info_bytes=auth_info, signatures=[bytes(64)])
        started = time.process_time()
        answer = hub.check(raw.SerializeToString())
        assert time.process_time() - started < 0.05
        assert (answer.codespace, answer.code) in (("sdk", 2), ("sdk", 21))
    assert_alive(hub)


def test_one_transaction_has_one_form(path: Path) -> None:
    hub = path.b.chain
    message = bank_tx.MsgSend(
        from_address=ALICE, to_address=BOB, amount=[coin_pb2.Coin(denom=DENOM, amount="5")]
    )
    good = hub.draft([message]).build()
    tx = tx_pb2.TxRaw.FromString(good)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    r, s = tx.signatures[0][:32], int.from_bytes(tx.signatures[0][32:])
    body, auth, signature = tx.body_bytes, tx.auth_info_bytes, tx.signatures[0]

    def build(body: bytes = body, auth: bytes = auth, *signatures: bytes) -> bytes:
        made = tx_pb2.TxRaw(body_bytes=body, auth_info_bytes=auth)
        made.signatures.extend(signatures or (signature,))
        return made.SerializeToString()

    others = {
        "high s": build(body, auth, r + (order - s).to_bytes(32)),
        "s above the order": build(body, auth, r + ((s + order) % 2**256).to_bytes(32)),
        "r above the order": build(body, auth, b"\xff" * 32 + signature[32:]),
        "zero signature": build(body, auth, bytes(64)),
        "two signatures": build(body, auth, signature, signature),
        "recovery byte": build(body, auth, signature + b"\x00"),
        "body twice": wrap(1, body) + good,
        "auth_info twice": wrap(1, body) + wrap(2, auth) + wrap(2, auth) + wrap(3, signature),
        "other order": wrap(2, auth) + wrap(1, body) + wrap(3, signature),
        "long length": b"\x0a"
        + bytes([len(body) & 0x7F | 0x80, len(body) >> 7 | 0x80, 0])
        + body
        + wrap(2, auth)
        + wrap(3, signature),
        "long tag": b"\x8a\x00" + varint(len(body)) + body + wrap(2, auth) + wrap(3, signature),
        "unknown field beside": good + wrap(9, b"x"),
        "unknown critical field": build(body + wrap(100, b"x")),
        "unknown non-critical field": build(body + wrap(1_024, b"x")),
        "default written out": build(body + b"\x18\x00"),
        "empty body": build(b""),
    }
    for name, raw in others.items():
        assert raw != good, name
        assert hub.check(raw).code, name
    balance = hub.balance("bob", DENOM)
    result = hub.next_block([*others.values(), good, good])
    codes = [outcome.code for outcome in result.results]
    assert codes[-2:] == [0, 32]
    assert all(codes[:-2])
    assert hub.balance("bob", DENOM) == balance + 5


# Transfers ---------------------------------------------------------------------------------------


def test_memo_and_receiver_have_bounds_on_both_sides(path: Path) -> None:
    send(path, memo="m" * 32_768, receiver="r" * 2_048)
    balance = path.b.chain.balance("alice", DENOM)
    for changes in ({"memo": "m" * 32_769}, {"receiver": "r" * 2_049}):
        assert refused(lambda changes=changes: send(path, **changes))[1] in (5, 11)
    assert path.b.chain.balance("alice", DENOM) > balance - 10**6, "fees alone"
    assert path.b.recv(path.a.send_packet(data(memo="m" * 32_768))) == ACCEPTED
    for changes, code in (({"memo": "m" * 32_769}, 11), ({"receiver": "r" * 2_049}, 5)):
        answer = path.b.recv(path.a.send_packet(data(**changes)))
        assert answer.startswith(b'{"error":"ABCI code: %d:' % code)


@pytest.mark.parametrize("timestamp", [2**63 - 1, 2**63, 2**64 - 1])
def test_timeouts_at_the_ends_of_their_range(path: Path, timestamp: int) -> None:
    """Far timeouts are sent and refunded by an error; without any timeout nothing is sent."""
    packet = send(path, 40, timeout_timestamp=timestamp)
    assert get_escrow(path) == 40
    early = path.b.build_timeout(packet)
    assert refused(lambda: path.b.chain.deliver(early)) == ("channel", 39)
    path.a.chain.liar.answer = b'{"error":"no"}'  # type: ignore[attr-defined]
    assert path.b.acknowledge(packet, path.a.recv(packet)) == SUCCESS
    assert get_escrow(path) == 0
    assert refused(lambda: send(path, timeout_timestamp=0))[0] in ("channel", "ibc", "transfer")
    assert get_escrow(path) == 0


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)
@given(memo=_TEXTS, receiver=_TEXTS, amount=st.integers(1, 10**9))
def test_whatever_could_be_sent_can_be_refunded(memo: str, receiver: str, amount: int) -> None:
    """No data that this chain commits to can keep its own timeout from being handled."""
    path = _SHARED_PATH[0] if _SHARED_PATH else build_hostile_path(BASE)
    _SHARED_PATH[:] = [path]
    held = get_escrow(path)
    if not receiver.strip(BLANKS):
        assert refused(lambda: send(path, amount, receiver=receiver)) == ("ibc", 5)
        return
    packet = send(path, amount, timeout_s=30, memo=memo, receiver=receiver)
    path.a.chain.clock.advance(31 * NANOSECONDS)
    assert path.b.timeout(packet) == SUCCESS
    assert get_escrow(path) == held


_SHARED_PATH: list[Path] = []


def test_memo_and_sender_of_a_stranger_move_nobody_elses_account(path: Path) -> None:
    hub = path.b.chain
    hub.deliver(accounts_tx.MsgCreateAccount(owner=BOB, number=0), signer="bob")
    voucher = Denom(BASE).with_hop("transfer", path.b.channel_id).local_denom
    for changes in (
        {"sender": BOB, "receiver": ALICE, "memo": deposit(BOB)},
        {"sender": ALICE, "receiver": ALICE, "memo": deposit(BOB)},
        {"sender": BOB, "receiver": BOB, "memo": deposit(ALICE)},
    ):
        answer = path.b.recv(path.a.send_packet(data(**changes)))
        assert answer.startswith(b'{"error":"ABCI code: 9:')
    assert bank.get_supply(hub.read_context(), voucher) == 0
    # A sender that claims an address of this chain is only a text.
    assert path.b.recv(path.a.send_packet(data(sender=ALICE, receiver=BOB))) == ACCEPTED
    assert hub.balance("alice", voucher) == 0
    assert hub.balance("bob", voucher) == 7
