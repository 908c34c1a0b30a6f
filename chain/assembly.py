"""How a list of modules becomes a chain: the base modules in front, their wiring, the keepers."""

from collections.abc import Sequence

from chain.modules import auth, bank, council, validators
from chain.modules.auth import state as auth_state
from chain.modules.bank import state as bank_state
from chain.modules.params.module import module as params_module
from chain.runtime.definition import ChainDefinition
from chain.runtime.module import Module


def build_chain(name: str, modules: Sequence[Module]) -> ChainDefinition:
    """The chain with auth, bank, params, council and validators before the modules given.

    Hooks run in this order. Raises nothing; a double store or route is a programming error.
    """
    rest = (bank.MODULE, council.MODULE, validators.MODULE, *modules)
    accounts = [account for module in rest for account in module.module_accounts]
    stores = ["auth", *(store for module in rest for store in module.stores)]
    return ChainDefinition(
        name=name,
        modules=(auth.module(accounts), params_module(stores), *rest),
        accounts=auth_state,
        fees=bank_state,
        validators=validators,
    )
