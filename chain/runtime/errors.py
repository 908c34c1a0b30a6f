"""Refusals of the transaction and query layers, in the codes and words of the Cosmos SDK.

Clients match these: the codespace "sdk", the numbers, and for some the text.
"""

from typing import ClassVar

from chain.errors import ChainError


class SdkError(ChainError):
    """A refusal with a code of the SDK's root codespace."""

    codespace: ClassVar[str] = "sdk"


class TxDecode(SdkError):
    """Bytes that are not one canonical transaction."""

    code = 2
    summary = "tx parse error"


class Unauthorized(SdkError):
    """A signature or signer that does not allow what is asked."""

    code = 4
    summary = "unauthorized"


class InsufficientFunds(SdkError):
    """A balance smaller than the amount to take."""

    code = 5
    summary = "insufficient funds"


class UnknownRequest(SdkError):
    """A message or query path nobody handles."""

    code = 6
    summary = "unknown request"


class InvalidAddress(SdkError):
    """A text that is not an address of this chain."""

    code = 7
    summary = "invalid address"


class InvalidPubKey(SdkError):
    """A public key of the wrong type, size or owner."""

    code = 8
    summary = "invalid pubkey"


class UnknownAddress(SdkError):
    """An address without an account."""

    code = 9
    summary = "unknown address"


class InvalidCoins(SdkError):
    """Coins that are not positive, sorted and unique."""

    code = 10
    summary = "invalid coins"


class MemoTooLarge(SdkError):
    """A memo above the governed length."""

    code = 12
    summary = "memo too large"


class InsufficientFee(SdkError):
    """A fee below what this node asks."""

    code = 13
    summary = "insufficient fee"


class TooManySignatures(SdkError):
    """More signatures than the governed limit."""

    code = 14
    summary = "maximum number of signatures exceeded"


class NoSignatures(SdkError):
    """A transaction without a signature."""

    code = 15
    summary = "no signatures supplied"


class InvalidRequest(SdkError):
    """A request that breaks a stateless rule."""

    code = 18
    summary = "invalid request"


class TxTooLarge(SdkError):
    """A transaction above the size limit."""

    code = 21
    summary = "tx too large"


class NotFound(SdkError):
    """A query for something that does not exist (gRPC NOT_FOUND)."""

    code = 22
    summary = "key not found"


class InvalidHeight(SdkError):
    """A height that cannot be answered."""

    code = 26
    summary = "invalid height"


class TxTimeoutHeight(SdkError):
    """A transaction included after its timeout height."""

    code = 30
    summary = "tx timeout height"


class UnknownExtensionOptions(SdkError):
    """Extension options, of which this chain knows none."""

    code = 31
    summary = "unknown extension options"


class WrongSequence(SdkError):
    """A sequence other than the account's next one."""

    code = 32
    summary = "incorrect account sequence"


class NotSupported(SdkError):
    """A feature of the wire format that this chain does not offer."""

    code = 37
    summary = "feature not supported"


class InternalFailure(SdkError):
    """Bytes or a simulation that met an unexpected exception; the text is fixed."""

    code = 35
    summary = "internal logic error"


class InvalidGasLimit(SdkError):
    """A gas limit that cannot be."""

    code = 41
    summary = "invalid gas limit"


class TxTimeout(SdkError):
    """A transaction included after its timeout timestamp."""

    code = 42
    summary = "tx timeout"


class InvalidGenesis(ChainError):
    """A genesis document with an unknown key or a value out of its bounds."""

    codespace = "runtime"
    code = 2
    summary = "invalid genesis"


class NotOurTurn(ChainError):
    """An ABCI call at a height that cannot come next; the consensus engine and the store
    disagree.
    """

    codespace = "runtime"
    code = 3
    summary = "call out of order"


class Halted(ChainError):
    """The operator's halt height is reached."""

    codespace = "runtime"
    code = 4
    summary = "halt height reached"


class InvalidBlock(ChainError):
    """A proposed block that breaks a rule of its form."""

    codespace = "runtime"
    code = 6
    summary = "invalid block"
