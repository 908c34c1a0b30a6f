"""The refusals of ICS-20. Codespaces and codes are those of ibc-go for the same rules."""

from chain.errors import ChainError


class InvalidPacketTimeout(ChainError):
    """A transfer without a timeout height or time."""

    codespace = "transfer"
    code = 2
    summary = "invalid packet timeout"


class InvalidDenom(ChainError):
    """A denom that cannot cross chains."""

    codespace = "transfer"
    code = 3
    summary = "invalid denomination for cross-chain transfer"


class InvalidVersion(ChainError):
    """A channel version other than ics20-1."""

    codespace = "transfer"
    code = 4
    summary = "invalid ICS20 version"


class InvalidTransferAmount(ChainError):
    """An amount that is not a canonical decimal above zero and below 2^256."""

    codespace = "transfer"
    code = 5
    summary = "invalid token amount"


class DenomNotFound(ChainError):
    """A voucher that this chain has never issued."""

    codespace = "transfer"
    code = 6
    summary = "denomination not found"


class SendDisabled(ChainError):
    """Transfers from this chain, or of this denom, are switched off."""

    codespace = "transfer"
    code = 7
    summary = "fungible token transfers from this chain are disabled"


class ReceiveDisabled(ChainError):
    """Transfers to this chain are switched off."""

    codespace = "transfer"
    code = 8
    summary = "fungible token transfers to this chain are disabled"


class InvalidMemo(ChainError):
    """A memo that is too long or gives an instruction that cannot be followed."""

    codespace = "transfer"
    code = 11
    summary = "invalid memo"


class InvalidTransferAddress(ChainError):
    """A sender or receiver that is blank, too long or not an address."""

    codespace = "ibc"
    code = 5
    summary = "invalid address"


class InvalidPacketData(ChainError):
    """Packet data that is not the JSON object of ICS-20."""

    codespace = "ibc"
    code = 12
    summary = "invalid type"
