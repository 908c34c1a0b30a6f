"""What a cosmpy user does: account, balance, simulate, send, wait, query. Prints JSON.

Runs in an environment of its own, since cosmpy pins an older protobuf:
MNEMONIC="..." account.py URL CHAIN_ID PREFIX DENOM RECEIVER
with URL as grpc+http://host:port or rest+http://host:port.
"""

import json
import os
import sys

from cosmpy.aerial.client import LedgerClient, NetworkConfig
from cosmpy.aerial.exceptions import NotFoundError
from cosmpy.aerial.wallet import LocalWallet

url, chain_id, prefix, denom, receiver = sys.argv[1:6]
wallet = LocalWallet.from_mnemonic(os.environ["MNEMONIC"], prefix=prefix)
client = LedgerClient(
    NetworkConfig(
        chain_id=chain_id,
        url=url,
        fee_minimum_gas_price=0.001,
        fee_denomination=denom,
        staking_denomination=denom,
    )
)
account = client.query_account(wallet.address())
before = client.query_bank_balance(receiver, denom)
tx = client.send_tokens(receiver, 5, denom, wallet).wait_to_complete(timeout=30)
try:
    client.query_tx("0" * 64)
    absent = "found"
except NotFoundError:
    absent = "not found"
print(
    json.dumps(
        {
            "address": str(wallet.address()),
            "chain_id": client.query_chain_id(),
            "height": client.query_height(),
            "number": account.number,
            "sequence": account.sequence,
            "code": tx.response.code,
            "tx_height": tx.response.height,
            "hash": tx.tx_hash,
            "gas_used": tx.response.gas_used,
            "received": client.query_bank_balance(receiver, denom) - before,
            "sequence_after": client.query_account(wallet.address()).sequence,
            "absent": absent,
        }
    )
)
