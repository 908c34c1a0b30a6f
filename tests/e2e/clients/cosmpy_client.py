"""What a cosmpy user does: account, balance, simulate, send, wait, query. Prints JSON.

Runs in an environment of its own, since cosmpy pins an older protobuf:
cosmpy_client.py URL CHAIN_ID PRIVATE_KEY_HEX RECEIVER
"""

import json
import sys

from cosmpy.aerial.client import LedgerClient, NetworkConfig
from cosmpy.aerial.exceptions import NotFoundError
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.keypairs import PrivateKey

url, chain_id, key, receiver = sys.argv[1:5]
wallet = LocalWallet(PrivateKey(bytes.fromhex(key)), prefix="margin")
client = LedgerClient(
    NetworkConfig(
        chain_id=chain_id,
        url=url,
        fee_minimum_gas_price=0.001,
        fee_denomination="umargin",
        staking_denomination="umargin",
    )
)
account = client.query_account(wallet.address())
before = client.query_bank_balance(receiver, "umargin")
tx = client.send_tokens(receiver, 5, "umargin", wallet).wait_to_complete(timeout=20)
try:
    client.query_tx("0" * 64)
    absent = "found"
except NotFoundError:
    absent = "not found"
print(
    json.dumps(
        {
            "address": str(wallet.address()),
            "number": account.number,
            "sequence": account.sequence,
            "code": tx.response.code,
            "height": tx.response.height,
            "hash": tx.tx_hash,
            "gas_used": tx.response.gas_used,
            "received": client.query_bank_balance(receiver, "umargin") - before,
            "sequence_after": client.query_account(wallet.address()).sequence,
            "absent": absent,
        }
    )
)
