from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.tx.signing.v1beta1 import signing_pb2
from chain._pb.cosmos.tx.v1beta1 import tx_pb2
from chain.client.transaction import (
    Fee,
    SignerState,
    build_simulation,
    compute_fee_amount,
    compute_tx_hash,
    sign_transaction,
)
from chain.client.wallet import Wallet
from tests.support.testchain import TestChain

ALICE = Wallet.from_mnemonic("abandon " * 11 + "about")


def build_send(units=5):
    return bank_tx.MsgSend(
        from_address=ALICE.address,
        to_address=ALICE.address,
        amount=[coin_pb2.Coin(denom="umargin", amount=str(units))],
    )


def test_application_accepts_what_the_wallet_signs():
    chain = TestChain()
    alice = chain.account("alice")
    wallet = Wallet.from_private_key(alice.key.secret)
    assert wallet.address == alice.address
    message = bank_tx.MsgSend(
        from_address=wallet.address,
        to_address=chain.account("bob").address,
        amount=[coin_pb2.Coin(denom="umargin", amount="5")],
    )
    signer = SignerState("test-1", alice.number, alice.sequence)
    tx = sign_transaction(wallet, [message], signer, Fee(200_000, 100), memo="hello")
    assert chain.check(tx).code == 0
    before = chain.balance("bob")
    assert chain.next_block([tx]).results[0].code == 0
    assert chain.balance("bob") == before + 5


def test_signature_binds_chain_number_and_sequence():
    chain = TestChain()
    alice = chain.account("alice")
    wallet = Wallet.from_private_key(alice.key.secret)
    message = build_send()
    message.from_address = message.to_address = wallet.address
    good = SignerState("test-1", alice.number, alice.sequence)
    for signer, code in (
        (good, 0),
        (SignerState("test-2", good.account_number, good.sequence), 4),
        (SignerState("test-1", good.account_number + 1, good.sequence), 4),
        (SignerState("test-1", good.account_number, good.sequence + 1), 32),
    ):
        fresh = TestChain()
        tx = sign_transaction(wallet, [message], signer, Fee(200_000, 100))
        assert fresh.check(tx).code == code


def test_simulation_carries_no_signature():
    raw = tx_pb2.TxRaw.FromString(build_simulation(ALICE.public_key, [build_send()], 7))
    info = tx_pb2.AuthInfo.FromString(raw.auth_info_bytes)
    assert list(raw.signatures) == [b""]
    assert info.signer_infos[0].sequence == 7
    mode = info.signer_infos[0].mode_info.single.mode
    assert mode == signing_pb2.SIGN_MODE_UNSPECIFIED


def test_signing_twice_gives_the_same_bytes():
    signer = SignerState("test-1", 1, 2)
    first = sign_transaction(ALICE, [build_send()], signer, Fee(1))
    assert first == sign_transaction(ALICE, [build_send()], signer, Fee(1))
    assert len(compute_tx_hash(first)) == 64
    assert compute_tx_hash(first) != compute_tx_hash(first + b"\x00")


def test_fee_rounds_up():
    assert compute_fee_amount(100_000, 1_000) == 100
    assert compute_fee_amount(100_001, 1_000) == 101
    assert compute_fee_amount(5, 0) == 0
