"""What can go wrong between a client and a node, as registered errors of codespace "api"."""

from chain.errors import ChainError


class NodeUnavailable(ChainError):
    """The node did not answer: nothing listens, the connection broke, or the time limit passed."""

    codespace = "api"
    code = 2
    summary = "node unavailable"


class RpcError(ChainError):
    """The node answered a JSON-RPC call with an error; fields: rpc_code, data."""

    codespace = "api"
    code = 3
    summary = "node refused the call"


class MalformedAnswer(ChainError):
    """The node's answer does not have the shape its protocol promises."""

    codespace = "api"
    code = 4
    summary = "malformed answer from the node"


class NotFound(ChainError):
    """The thing asked for does not exist (yet): a transaction, account, block or record."""

    codespace = "api"
    code = 5
    summary = "not found"


class TxRefused(ChainError):
    """A transaction with a result code above zero; fields: txhash, tx_codespace, tx_code, raw_log,
    height (0 when CheckTx refused it), gas_wanted, gas_used.
    """

    codespace = "api"
    code = 6
    summary = "transaction refused"


class WaitTimeout(ChainError):
    """A transaction was accepted into the mempool but no block held it within the time limit."""

    codespace = "api"
    code = 7
    summary = "transaction not committed in time"


class QueryRefused(ChainError):
    """A query answered with a gRPC status other than OK and NOT_FOUND; fields: status."""

    codespace = "api"
    code = 8
    summary = "query refused"


class InvalidKey(ChainError):
    """A mnemonic, private key, address or key name that breaks its rule."""

    codespace = "api"
    code = 9
    summary = "invalid key"


class KeyringLocked(ChainError):
    """The keyring cannot be opened: wrong passphrase, damaged file or loose file permissions."""

    codespace = "api"
    code = 10
    summary = "keyring locked"


class InvalidField(ChainError):
    """A message field given as text or JSON that its type does not take."""

    codespace = "api"
    code = 11
    summary = "invalid field"


class InvalidEndpoint(ChainError):
    """A node address that is not of the form the client takes."""

    codespace = "api"
    code = 12
    summary = "invalid endpoint"
