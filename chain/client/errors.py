"""What can go wrong between a client and a node, as registered errors of codespace "client"."""

from chain.errors import ChainError


class NodeUnavailable(ChainError):
    """The node did not answer: nothing listens, the connection broke, or the time limit passed."""

    codespace = "client"
    code = 2
    summary = "node unavailable"


class RpcError(ChainError):
    """The node answered a JSON-RPC call with an error; fields: rpc_code, data."""

    codespace = "client"
    code = 3
    summary = "node refused the call"


class MalformedAnswer(ChainError):
    """The node's answer does not have the shape its protocol promises."""

    codespace = "client"
    code = 4
    summary = "malformed answer from the node"


class NotFound(ChainError):
    """The thing asked for does not exist (yet): a transaction, account, block or record."""

    codespace = "client"
    code = 5
    summary = "not found"


class TxRefused(ChainError):
    """A transaction with a result code above zero; fields: txhash, tx_codespace, tx_code, raw_log,
    height (0 when CheckTx refused it), gas_wanted, gas_used.
    """

    codespace = "client"
    code = 6
    summary = "transaction refused"


class WaitTimeout(ChainError):
    """A transaction was accepted into the mempool but no block held it within the time limit."""

    codespace = "client"
    code = 7
    summary = "transaction not committed in time"


class QueryRefused(ChainError):
    """A query answered with a gRPC status other than OK and NOT_FOUND; fields: status."""

    codespace = "client"
    code = 8
    summary = "query refused"


class InvalidKey(ChainError):
    """A mnemonic, private key, address or key name that breaks its rule."""

    codespace = "client"
    code = 9
    summary = "invalid key"


class KeyringLocked(ChainError):
    """The keyring cannot be opened: wrong passphrase, damaged file or loose file permissions."""

    codespace = "client"
    code = 10
    summary = "keyring locked"


class InvalidField(ChainError):
    """A message field given as text or JSON that its type does not take."""

    codespace = "client"
    code = 11
    summary = "invalid field"


class InvalidEndpoint(ChainError):
    """A node address that is not of the form the client takes."""

    codespace = "client"
    code = 12
    summary = "invalid endpoint"
