"""Refusals of the parameter register."""

from chain.errors import ChainError


class UnknownModule(ChainError):
    """A module of this chain that declares no parameters, or no module at all."""

    codespace = "params"
    code = 2
    summary = "module has no parameters"


class WrongParamsType(ChainError):
    """Parameters of another module's type."""

    codespace = "params"
    code = 3
    summary = "wrong type of parameters"
