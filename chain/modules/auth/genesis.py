"""Accounts in the genesis: numbers are kept, so that signatures made before an export stay
refused.
"""

from collections.abc import Sequence

from chain._pb.cosmos.auth.v1beta1 import auth_pb2, genesis_pb2
from chain.modules.auth import state
from chain.modules.auth.types import FEE_COLLECTOR, build_default_params, module_address
from chain.runtime.address import decode_address
from chain.runtime.codec import compute_type_url
from chain.runtime.context import Context
from chain.runtime.errors import InvalidGenesis
from chain.runtime.router import pack

_BASE_ACCOUNT = compute_type_url(auth_pb2.BaseAccount)
_MODULE_ACCOUNT = compute_type_url(auth_pb2.ModuleAccount)


def build_default_genesis() -> genesis_pb2.GenesisState:
    """Default parameters, no accounts."""
    return genesis_pb2.GenesisState(params=build_default_params())


def init_genesis(
    ctx: Context, genesis: genesis_pb2.GenesisState, module_accounts: Sequence[str]
) -> None:
    """Store parameters and accounts; raises InvalidGenesis on a double address or number."""
    state.PARAMS.set(ctx, genesis.params)
    numbers: dict[int, str] = {}
    addresses: dict[str, None] = {}
    for index, packed in enumerate(genesis.accounts):
        where = f"app_state.auth.accounts[{index}]"
        if packed.type_url.endswith(_BASE_ACCOUNT):
            base = auth_pb2.BaseAccount.FromString(packed.value)
            decode_address(base.address, where)
            state.set_account(ctx, base)
        elif packed.type_url.endswith(_MODULE_ACCOUNT):
            account = auth_pb2.ModuleAccount.FromString(packed.value)
            base = account.base_account
            if base.address != module_address(account.name):
                raise InvalidGenesis(f"{where}: {account.name} has another address")
            state.set_module_account(ctx, account)
        else:
            raise InvalidGenesis(f"{where}: type {packed.type_url} is not an account")
        if base.address in addresses:
            raise InvalidGenesis(f"{where}: {base.address} stands twice")
        if base.account_number in numbers:
            raise InvalidGenesis(
                f"{where}: number {base.account_number} belongs to {numbers[base.account_number]}"
            )
        numbers[base.account_number] = base.address
        addresses[base.address] = None
    state.set_next_account_number(ctx, max(numbers, default=-1) + 1)
    for name in sorted({FEE_COLLECTOR, *module_accounts}):
        state.ensure_module_account(ctx, name)


def export_genesis(ctx: Context) -> genesis_pb2.GenesisState:
    """Parameters and all accounts, users' first, by address."""
    genesis = genesis_pb2.GenesisState(params=state.get_params(ctx))
    for account in state.get_accounts(ctx):
        genesis.accounts.append(pack(account))
    for module_account in state.get_module_accounts(ctx):
        genesis.accounts.append(pack(module_account))
    return genesis
