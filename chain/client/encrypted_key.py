"""Encrypted private keys: the Web3 Secret Storage format with scrypt.

Apart from the wallet because its library takes seconds to import and most programs never need it.
"""

from typing import Any

from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json


def encrypt_key(
    private_key: bytes, passphrase: str, scrypt_iterations: int | None = None
) -> dict[str, Any]:
    """The keyfile of a private key; None takes the format's standard cost (2^18)."""
    document: dict[str, Any] = create_keyfile_json(
        private_key, passphrase.encode(), kdf="scrypt", iterations=scrypt_iterations
    )
    return document


def decrypt_key(document: dict[str, Any], passphrase: str) -> bytes:
    """The private key of a keyfile; raises ValueError for a wrong passphrase or damaged file."""
    private_key: bytes = decode_keyfile_json(document, passphrase.encode())
    return private_key
