"""The faucet of a local network: sends coins of the account that has them."""

from typing import Any

from chain._pb.cosmos.bank.v1beta1 import tx_pb2
from chain.client.amount import Amount
from localnet.actors import ACTORS
from localnet.clients import open_chains
from localnet.deployment import Localnet


async def give(localnet: Localnet, chain_id: str, receiver: str, text: str) -> dict[str, Any]:
    """Send an amount to an address or a named account; raises InvalidField, TxRefused, KeyError."""
    amount = Amount.parse(text)
    address = ACTORS[receiver].address if receiver in ACTORS else receiver
    localnet.network.topology.get_chain(chain_id)
    wallet = ACTORS["faucet"].wallet
    message = tx_pb2.MsgSend(
        from_address=wallet.address, to_address=address, amount=[amount.to_coin()]
    )
    async with open_chains(localnet.network.topology) as chains:
        outcome = await chains[chain_id].deliver(wallet, [message])
    return {
        "chain": chain_id,
        "address": address,
        "amount": str(amount),
        "txhash": outcome.txhash,
        "height": outcome.height,
    }
