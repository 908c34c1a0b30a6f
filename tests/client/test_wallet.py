import hashlib
import stat

import coincurve
import pytest

from chain.client.errors import InvalidKey, KeyringLocked
from chain.client.wallet import (
    Keyring,
    KeyringBackend,
    Wallet,
    compute_address,
    decode_address,
    generate_mnemonic,
)

WORDS = "abandon " * 11 + "about"
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def test_cosmos_path_gives_the_key_other_wallets_give():
    # cosmos_sdk_hd_bip39_seed_pairs.json, first entry.
    words = (
        "measure slogan connect luggage stereo federal stuff stomach stumble security end differ"
    )
    wallet = Wallet.from_mnemonic(words)
    assert wallet.private_key.hex() == (
        "91bba8805845210665d7a9c5aff63ef69f7604fbeddb485706d31f04458f572c"
    )
    assert decode_address(wallet.address).hex() == "72e7d6e9cfa899043a0783752a4876423f8effb8"


def test_fresh_mnemonics_differ_and_are_valid():
    first, second = generate_mnemonic(), generate_mnemonic()
    assert first != second
    assert len(first.split()) == 24
    assert Wallet.from_mnemonic(first).address.startswith("margin1")


@pytest.mark.parametrize(
    "words", ["", "abandon", WORDS.replace("about", "abandon"), WORDS.replace("about", "abouts")]
)
def test_bad_mnemonic_is_refused(words):
    with pytest.raises(InvalidKey, match="BIP-39"):
        Wallet.from_mnemonic(words)


@pytest.mark.parametrize("path", ["m/x", "44'/118'", "m/44'/118'/99999999999'/0/0"])
def test_bad_path_is_refused(path):
    with pytest.raises(InvalidKey, match="derivation path"):
        Wallet.from_mnemonic(WORDS, path=path)


@pytest.mark.parametrize(
    "scalar", [0, CURVE_ORDER, 2**256 - 1], ids=["zero", "order", "above the order"]
)
def test_private_key_outside_the_group_is_refused(scalar):
    with pytest.raises(InvalidKey):
        Wallet.from_private_key(scalar.to_bytes(32, "big"))


def test_private_key_of_another_size_is_refused():
    with pytest.raises(InvalidKey):
        Wallet.from_private_key(b"\x01" * 31)


def test_signature_is_low_s_and_verifies():
    wallet = Wallet.from_mnemonic(WORDS)
    for number in range(20):
        message = f"message {number}".encode()
        signature = wallet.sign(message)
        assert len(signature) == 64
        assert int.from_bytes(signature[32:], "big") <= CURVE_ORDER // 2
        der = coincurve.PrivateKey(wallet.private_key).sign(message)
        assert coincurve.PublicKey(wallet.public_key).verify(der, message)
        recovered = coincurve.PublicKey.from_signature_and_message(signature + b"\x00", message)
        other = coincurve.PublicKey.from_signature_and_message(signature + b"\x01", message)
        assert wallet.public_key in (recovered.format(), other.format())


def test_text_of_a_wallet_hides_the_key():
    wallet = Wallet.from_mnemonic(WORDS)
    assert wallet.private_key.hex() not in repr(wallet)
    assert repr(wallet.private_key) not in repr(wallet)


@pytest.mark.parametrize(
    "change", [str.upper, lambda a: a[:-1], lambda a: a[:-1] + "b", lambda a: "cosmos" + a[6:]]
)
def test_broken_address_is_refused(change):
    address = Wallet.from_mnemonic(WORDS).address
    broken = change(address)
    if broken == address.upper():
        # BIP-173 allows all upper case; it is the same address.
        assert decode_address(broken) == decode_address(address)
        return
    with pytest.raises(InvalidKey):
        decode_address(broken)


def test_address_is_the_hash_of_the_key():
    wallet = Wallet.from_mnemonic(WORDS)
    digest = hashlib.new("ripemd160", hashlib.sha256(wallet.public_key).digest()).digest()
    assert decode_address(compute_address(wallet.public_key)) == digest


def test_test_keyring_keeps_and_returns_keys(tmp_path):
    keyring, wallet = Keyring(tmp_path), Wallet.from_mnemonic(WORDS)
    record = keyring.add("alice", wallet)
    assert keyring.open("alice") == wallet
    assert keyring.open(wallet.address) == wallet
    assert keyring.list() == [record]
    path = tmp_path / "keyring-test" / "alice.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    keyring.delete("alice")
    assert keyring.list() == []


def test_file_keyring_encrypts_and_needs_the_passphrase(tmp_path):
    answers = iter(["correct horse", "correct horse", "battery staple"])
    keyring = Keyring(tmp_path, KeyringBackend.FILE, lambda _: next(answers), scrypt_iterations=2)
    wallet = Wallet.from_mnemonic(WORDS)
    keyring.add("alice", wallet)
    text = (tmp_path / "keyring-file" / "alice.json").read_text()
    assert wallet.private_key.hex() not in text
    assert keyring.open("alice") == wallet
    with pytest.raises(KeyringLocked, match="check the passphrase"):
        keyring.open("alice")


def test_taken_name_is_refused_unless_overwritten(tmp_path):
    keyring = Keyring(tmp_path)
    keyring.add("alice", Wallet.from_mnemonic(WORDS))
    other = Wallet.from_mnemonic(generate_mnemonic())
    with pytest.raises(InvalidKey, match="exists"):
        keyring.add("alice", other)
    keyring.add("alice", other, is_overwriting=True)
    assert keyring.open("alice") == other


@pytest.mark.parametrize("name", ["", "../alice", "a/b", ".hidden", "a" * 65, "al ice"])
def test_bad_key_name_is_refused(tmp_path, name):
    with pytest.raises(InvalidKey, match="key name"):
        Keyring(tmp_path).add(name, Wallet.from_mnemonic(WORDS))


def test_unknown_key_lists_the_known_ones(tmp_path):
    keyring = Keyring(tmp_path)
    keyring.add("alice", Wallet.from_mnemonic(WORDS))
    with pytest.raises(InvalidKey, match="keys there: alice"):
        keyring.open("bob")


def test_key_file_others_may_read_is_refused(tmp_path):
    keyring = Keyring(tmp_path)
    keyring.add("alice", Wallet.from_mnemonic(WORDS))
    (tmp_path / "keyring-test" / "alice.json").chmod(0o644)
    with pytest.raises(KeyringLocked, match="chmod 600"):
        keyring.open("alice")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"name": "alice"}'])
def test_damaged_key_file_is_refused(tmp_path, content):
    keyring = Keyring(tmp_path)
    keyring.add("alice", Wallet.from_mnemonic(WORDS))
    (tmp_path / "keyring-test" / "alice.json").write_text(content)
    with pytest.raises(KeyringLocked):
        keyring.open("alice")
