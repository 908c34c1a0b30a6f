"""Wallets and keyrings: secp256k1 keys from mnemonics (BIP-39, BIP-32, BIP-44) and where they rest.

A keyring is a folder with one file a key, readable by its owner alone. Backend `test` keeps private
keys in the clear and is for local networks; backend `file` encrypts each key (Web3 Secret Storage,
scrypt).
"""

import hashlib
import importlib
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final, Self

import coincurve
from bech32 import bech32_decode, bech32_encode, convertbits
from bip32 import BIP32
from mnemonic import Mnemonic

from chain.client.errors import InvalidKey, KeyringLocked
from chain.client.json_text import load_json
from chain.units import Address

ADDRESS_PREFIX: Final = "margin"
HD_PATH: Final = "m/44'/118'/0'/0/0"
"""BIP-44 path of the first account under the Cosmos coin type (SLIP-44: 118)."""
MNEMONIC_BITS: Final = 256
"""24 words."""
_KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HD_PATH = re.compile(r"m(?:/[0-9]{1,10}'?){1,10}")
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True, slots=True)
class Wallet:
    """One secp256k1 key and the account address it controls; its text never shows the key."""

    private_key: bytes = field(repr=False)
    public_key: bytes
    address: Address

    @classmethod
    def from_private_key(cls, private_key: bytes, prefix: str = ADDRESS_PREFIX) -> Self:
        """The wallet of a 32-byte scalar; raises InvalidKey outside [1, n)."""
        if len(private_key) != 32 or not 0 < int.from_bytes(private_key, "big") < _CURVE_ORDER:
            raise InvalidKey("a private key is 32 bytes, above zero and below the curve order")
        public_key = coincurve.PrivateKey(private_key).public_key.format(compressed=True)
        return cls(private_key, public_key, compute_address(public_key, prefix))

    @classmethod
    def from_mnemonic(
        cls, words: str, *, path: str = HD_PATH, passphrase: str = "", prefix: str = ADDRESS_PREFIX
    ) -> Self:
        """The wallet of English BIP-39 words at a derivation path; raises InvalidKey."""
        normal = " ".join(words.split())
        if not Mnemonic("english").check(normal):
            raise InvalidKey(
                "the mnemonic is not 12 to 24 words of the English BIP-39 list with a right "
                "checksum; check spelling and order"
            )
        steps = path.replace("'", "").split("/")[1:]
        if not _HD_PATH.fullmatch(path) or any(int(step) >= 1 << 31 for step in steps):
            raise InvalidKey(
                f"derivation path {path[:80]!r} must be m and up to 10 steps below 2^31, "
                f"e.g. {HD_PATH}"
            )
        seed = Mnemonic.to_seed(normal, passphrase)
        private_key = BIP32.from_seed(seed).get_privkey_from_path(path)
        return cls.from_private_key(bytes(private_key), prefix)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte r‖s signature of SHA-256(message), deterministic (RFC 6979), low s."""
        key = coincurve.PrivateKey(self.private_key)
        signature: bytes = key.sign_recoverable(message)[:64]
        return signature


def generate_mnemonic() -> str:
    """24 fresh English words."""
    words: str = Mnemonic("english").generate(strength=MNEMONIC_BITS)
    return words


def compute_address(public_key: bytes, prefix: str = ADDRESS_PREFIX) -> Address:
    """The bech32 address of a compressed public key: RIPEMD-160 of its SHA-256."""
    digest = hashlib.new("ripemd160", hashlib.sha256(public_key).digest()).digest()
    return encode_address(digest, prefix)


def encode_address(raw: bytes, prefix: str = ADDRESS_PREFIX) -> Address:
    """The bech32 text of 20 (or 32) address bytes."""
    words = convertbits(raw, 8, 5)
    assert words is not None, "bytes always regroup into 5-bit words with padding"
    return Address(bech32_encode(prefix, words))


def decode_address(text: str, prefix: str = ADDRESS_PREFIX) -> bytes:
    """The bytes of an address of the chain; raises InvalidKey."""
    found, words = bech32_decode(text)
    raw = convertbits(words, 5, 8, False) if words is not None else None  # noqa: FBT003 - positional in the library
    if found != prefix or raw is None or len(raw) not in (20, 32):
        raise InvalidKey(f"{text!r} is not a bech32 address that starts with {prefix}1")
    return bytes(raw)


class KeyringBackend(Enum):
    """How keys rest on disk."""

    TEST = "test"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What a keyring says of a key without opening it."""

    name: str
    address: Address
    public_key: bytes


class Keyring:
    """A folder of named keys, `<home>/keyring-<backend>/<name>.json`.

    `ask_passphrase(prompt)` is called when a key of backend `file` is written or opened.
    """

    def __init__(
        self,
        home: Path,
        backend: KeyringBackend = KeyringBackend.TEST,
        ask_passphrase: Callable[[str], str] | None = None,
        *,
        scrypt_iterations: int | None = None,
    ) -> None:
        self.backend = backend
        self.folder = home / f"keyring-{backend.value}"
        self._ask_passphrase = ask_passphrase
        self._scrypt_iterations = scrypt_iterations

    def list(self) -> list[KeyRecord]:
        """All keys by name."""
        return [self._record(self._read(p)) for p in sorted(self.folder.glob("*.json"))]

    def show(self, name: str) -> KeyRecord:
        """The public part of a key; raises InvalidKey when there is none of the name."""
        return self._record(self._read(self._existing(name)))

    def find(self, name_or_address: str) -> KeyRecord:
        """The key of a name or of an address; raises InvalidKey."""
        for record in self.list():
            if name_or_address in (record.name, record.address):
                return record
        return self.show(name_or_address)

    def add(self, name: str, wallet: Wallet, *, is_overwriting: bool = False) -> KeyRecord:
        """Store a key; raises InvalidKey for a bad or taken name."""
        path = self._path(name)
        if path.exists() and not is_overwriting:
            raise InvalidKey(
                f"key {name!r} exists in {self.folder}; delete it first or pick another name"
            )
        content: dict[str, Any] = {
            "name": name,
            "address": wallet.address,
            "public_key": wallet.public_key.hex(),
        }
        if self.backend is KeyringBackend.TEST:
            content["private_key"] = wallet.private_key.hex()
        else:
            content["keyfile"] = _encryption().encrypt_key(
                wallet.private_key,
                self._passphrase(f"Passphrase for key {name}: "),
                self._scrypt_iterations,
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(path, json.dumps(content, indent=2) + "\n")
        return KeyRecord(name, wallet.address, wallet.public_key)

    def open(self, name_or_address: str) -> Wallet:
        """The wallet of a key; raises InvalidKey or KeyringLocked."""
        name = self.find(name_or_address).name
        path = self._existing(name)
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise KeyringLocked(
                f"{path} has mode {mode:04o}, others may read it; run chmod 600 on it"
            )
        content = self._read(path)
        try:
            if self.backend is KeyringBackend.TEST:
                private_key = bytes.fromhex(content["private_key"])
            else:
                passphrase = self._passphrase(f"Passphrase for key {name}: ")
                private_key = _encryption().decrypt_key(content["keyfile"], passphrase)
        except (KeyError, TypeError, ValueError) as error:
            raise KeyringLocked(
                f"key {name!r} does not open: {error}; check the passphrase and the file {path}"
            ) from error
        wallet = Wallet.from_private_key(private_key)
        if wallet.address != content["address"]:
            raise KeyringLocked(
                f"{path} holds the key of {wallet.address}, not of {content['address']}"
            )
        return wallet

    def delete(self, name: str) -> None:
        """Remove a key for good; raises InvalidKey when there is none of the name."""
        self._existing(name).unlink()

    def _passphrase(self, prompt: str) -> str:
        if self._ask_passphrase is None:
            raise KeyringLocked("the keyring needs a passphrase and there is no one to ask")
        return self._ask_passphrase(prompt)

    def _path(self, name: str) -> Path:
        if not _KEY_NAME.fullmatch(name):
            raise InvalidKey(
                f"key name {name!r} must be 1 to 64 letters, digits, dots, dashes or underscores, "
                f"starting with a letter or digit"
            )
        return self.folder / f"{name}.json"

    def _existing(self, name: str) -> Path:
        path = self._path(name)
        if not path.exists():
            known = ", ".join(p.stem for p in sorted(self.folder.glob("*.json"))) or "none"
            raise InvalidKey(f"no key {name!r} in {self.folder}; keys there: {known}")
        return path

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            content = load_json(path.read_text())
        except ValueError as error:
            raise KeyringLocked(f"{path} is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise KeyringLocked(f"{path} is not a JSON object")
        return content

    @staticmethod
    def _record(content: Mapping[str, Any]) -> KeyRecord:
        try:
            return KeyRecord(
                content["name"],
                Address(content["address"]),
                bytes.fromhex(content["public_key"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise KeyringLocked(f"a key file lacks or spoils {error}") from error


def _encryption() -> Any:
    """The module of encrypted keys, imported on first use: it is slow to import."""
    limit = sys.getrecursionlimit()
    try:
        return importlib.import_module("chain.client.encrypted_key")
    finally:
        # A library below raises the limit so far that deep input would end the process.
        sys.setrecursionlimit(limit)


def _write_private(path: Path, text: str) -> None:
    """Write a file only its owner may read, whole or not at all."""
    staging = path.with_suffix(".tmp")
    staging.unlink(missing_ok=True)
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    staging.replace(path)
