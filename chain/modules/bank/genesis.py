"""Balances in the genesis; the supply is their sum and, when stated, must equal it."""

from chain._pb.cosmos.bank.v1beta1 import bank_pb2, genesis_pb2
from chain.modules.bank import state
from chain.modules.bank.types import build_default_params
from chain.runtime.address import decode_address
from chain.runtime.coins import build_coin, is_denom, parse_coins
from chain.runtime.context import Context
from chain.runtime.errors import InvalidGenesis
from chain.units import AMOUNT_LIMIT, Address


def build_default_genesis() -> genesis_pb2.GenesisState:
    """Default parameters, no coins."""
    return genesis_pb2.GenesisState(params=build_default_params())


def init_genesis(ctx: Context, genesis: genesis_pb2.GenesisState) -> None:
    """Store parameters, balances and names; raises InvalidGenesis on a double or a wrong supply."""
    if genesis.send_enabled:
        raise InvalidGenesis("app_state.bank.send_enabled: list the entries under params")
    state.PARAMS.set(ctx, genesis.params)
    supplies: dict[str, int] = {}
    seen: dict[str, None] = {}
    for index, balance in enumerate(genesis.balances):
        where = f"app_state.bank.balances[{index}]"
        decode_address(balance.address, f"{where}.address")
        if balance.address in seen:
            raise InvalidGenesis(f"{where}: {balance.address} stands twice")
        seen[balance.address] = None
        for denom, amount in parse_coins(balance.coins, f"{where}.coins"):
            supplies[denom] = supplies.get(denom, 0) + amount
            state.credit(ctx, Address(balance.address), denom, amount)
    stated = dict(parse_coins(genesis.supply, "app_state.bank.supply"))
    if stated and stated != supplies:
        raise InvalidGenesis("app_state.bank.supply: differs from the sum of the balances")
    for denom in sorted(supplies):
        if supplies[denom] >= AMOUNT_LIMIT:
            raise InvalidGenesis(f"app_state.bank: supply of {denom} is not below 2^256")
        state.set_supply(ctx, denom, supplies[denom])
    for index, metadata in enumerate(genesis.denom_metadata):
        if not is_denom(metadata.base):
            raise InvalidGenesis(f"app_state.bank.denom_metadata[{index}].base: not a denom")
        state.set_metadata(ctx, metadata)


def export_genesis(ctx: Context) -> genesis_pb2.GenesisState:
    """All balances by address, supplies, names and parameters."""
    genesis = genesis_pb2.GenesisState(params=state.PARAMS.get(ctx))
    balance: genesis_pb2.Balance | None = None
    for address, denom, amount in state.get_balances(ctx):
        if balance is None or balance.address != address:
            balance = genesis.balances.add(address=address)
        balance.coins.append(build_coin(denom, amount))
    genesis.supply.extend(build_coin(denom, amount) for denom, amount in state.get_supplies(ctx))
    for _, data in ctx.kv(state.STORE).iterate(state.METADATA_PREFIX):
        genesis.denom_metadata.append(bank_pb2.Metadata.FromString(data))
    return genesis
