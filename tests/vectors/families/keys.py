"""Mnemonics, derivation and addresses: BIP-39, BIP-32, BIP-173 and the Cosmos path."""

import json
from collections.abc import Iterator
from pathlib import Path

from bech32 import bech32_decode
from bip32 import BIP32
from mnemonic import Mnemonic

from chain.client.wallet import Wallet, decode_address
from chain.units import Address
from tests.vectors.families import CaseResult

HARDENED = 1 << 31


def run(folder: Path) -> Iterator[CaseResult]:
    """All files of keys/."""
    root = folder / "keys"
    if not root.is_dir():
        return
    yield from _check_bech32(root / "bech32_bip173.json")
    yield from _check_bip32(root / "bip32_vectors.json")
    yield from _check_bip39(root / "bip39_trezor_vectors.json")
    yield from _check_cosmos(root / "cosmos_sdk_hd_bip39_seed_pairs.json")


def _check_bech32(path: Path) -> Iterator[CaseResult]:
    for case in json.loads(path.read_text())["cases"]:
        text = bytes.fromhex(case["string_hex"]).decode("latin-1")
        prefix, _ = bech32_decode(text)
        judged = prefix is not None
        yield CaseResult(f"bech32 {text!r}", judged == case["valid"], f"judged {judged}")


def _check_bip32(path: Path) -> Iterator[CaseResult]:
    for case in json.loads(path.read_text()):
        seed = bytes.fromhex(case["seed_hex"])
        network = "test" if case["xprv"].startswith("t") else "main"
        node = BIP32.from_seed(seed, network=network)
        path_text = "/".join(
            ["m", *(f"{i - HARDENED}'" if i >= HARDENED else str(i) for i in case["path_u32"])]
        )
        xprv, xpub = node.get_xpriv_from_path(path_text), node.get_xpub_from_path(path_text)
        agree = (xprv, xpub) == (case["xprv"], case["xpub"])
        yield CaseResult(f"bip32 {case['name']}", agree, f"{path_text}: {xpub}")


def _check_bip39(path: Path) -> Iterator[CaseResult]:
    for language, rows in json.loads(path.read_text()).items():
        words = Mnemonic(language)
        for entropy, phrase, seed, xprv in rows:
            made = words.to_mnemonic(bytes.fromhex(entropy))
            derived = Mnemonic.to_seed(phrase, "TREZOR")
            agree = (
                Mnemonic.normalize_string(made) == Mnemonic.normalize_string(phrase)
                # The library composes letters in other word lists; wallets are English only.
                and (language != "english" or words.check(phrase))
                and derived.hex() == seed
                and BIP32.from_seed(derived).get_xpriv() == xprv
            )
            yield CaseResult(f"bip39 {language} {entropy}", agree, f"words {made}")


def _check_cosmos(path: Path) -> Iterator[CaseResult]:
    for index, row in enumerate(json.loads(path.read_text())):
        wallet = Wallet.from_mnemonic(row["mnemonic"])
        address = decode_address(Address(wallet.address))
        got = (wallet.private_key.hex(), wallet.public_key.hex(), address.hex())
        agree = got == (row["priv"], row["pub"], row["addr"])
        yield CaseResult(f"cosmos {index}", agree, f"got {got}")
