"""The refusals of IBC. Codespaces and codes are those that ibc-go registers for the same rules."""

from chain.errors import ChainError


class InvalidIdentifier(ChainError):
    """An identifier outside the alphabet or length of ICS-24."""

    codespace = "host"
    code = 2
    summary = "invalid identifier"


class InvalidClient(ChainError):
    """A client state that breaks a rule of its type."""

    codespace = "client"
    code = 3
    summary = "light client is invalid"


class ClientNotFound(ChainError):
    """No client has this identifier."""

    codespace = "client"
    code = 4
    summary = "light client not found"


class ConsensusStateNotFound(ChainError):
    """The client holds no consensus state at this height."""

    codespace = "client"
    code = 7
    summary = "consensus state not found"


class InvalidConsensusState(ChainError):
    """A consensus state that breaks a rule of its type."""

    codespace = "client"
    code = 8
    summary = "invalid consensus state"


class InvalidClientType(ChainError):
    """A client type that this chain does not run or allow."""

    codespace = "client"
    code = 10
    summary = "invalid client type"


class InvalidHeader(ChainError):
    """A header that the client does not accept."""

    codespace = "client"
    code = 12
    summary = "invalid client header"


class InvalidMisbehaviour(ChainError):
    """Evidence that proves no misbehaviour."""

    codespace = "client"
    code = 13
    summary = "invalid light client misbehaviour"


class InvalidRecoveryClient(ChainError):
    """A client that needs no recovery."""

    codespace = "client"
    code = 24
    summary = "invalid recovery client"


class InvalidUpgradeClient(ChainError):
    """An upgrade that the client's chain did not commit to."""

    codespace = "client"
    code = 25
    summary = "invalid client upgrade"


class InvalidHeight(ChainError):
    """A height outside what the rule allows."""

    codespace = "client"
    code = 26
    summary = "invalid height"


class InvalidSubstitute(ChainError):
    """A substitute client that differs from its subject in more than it may."""

    codespace = "client"
    code = 27
    summary = "invalid client state substitute"


class ClientNotActive(ChainError):
    """A client that is expired, frozen or unknown proves nothing."""

    codespace = "client"
    code = 29
    summary = "client state is not active"


class InvalidChainId(ChainError):
    """A chain id that a tendermint client cannot follow."""

    codespace = "07-tendermint"
    code = 2
    summary = "invalid chain-id"


class InvalidTrustingPeriod(ChainError):
    """A trusting period that is not positive or not below the unbonding period."""

    codespace = "07-tendermint"
    code = 3
    summary = "invalid trusting period"


class InvalidUnbondingPeriod(ChainError):
    """An unbonding period that is not positive."""

    codespace = "07-tendermint"
    code = 4
    summary = "invalid unbonding period"


class InvalidHeaderHeight(ChainError):
    """A header or client height of a wrong revision or order."""

    codespace = "07-tendermint"
    code = 5
    summary = "invalid header height"


class InvalidMaxClockDrift(ChainError):
    """A clock drift that is not positive."""

    codespace = "07-tendermint"
    code = 7
    summary = "invalid max clock drift"


class DelayPeriodNotPassed(ChainError):
    """A packet proof used before the connection's delay passed."""

    codespace = "07-tendermint"
    code = 10
    summary = "packet-specified delay period has not been reached"


class InvalidProofSpecs(ChainError):
    """Proof specs that are missing or would let a forged proof pass."""

    codespace = "07-tendermint"
    code = 13
    summary = "invalid proof specs"


class InvalidTrustLevel(ChainError):
    """A trust level outside [1/3, 1]."""

    codespace = "07-tendermint"
    code = 15
    summary = "invalid trust level"


class ConnectionNotFound(ChainError):
    """No connection has this identifier."""

    codespace = "connection"
    code = 3
    summary = "connection not found"


class ClientConnectionsNotFound(ChainError):
    """No connection was ever opened over this client."""

    codespace = "connection"
    code = 4
    summary = "light client connection paths not found"


class InvalidConnectionState(ChainError):
    """A connection in another state than the step needs."""

    codespace = "connection"
    code = 6
    summary = "invalid connection state"


class InvalidConnectionCounterparty(ChainError):
    """A counterparty of a connection that is incomplete or over its bounds."""

    codespace = "connection"
    code = 7
    summary = "invalid counterparty connection"


class InvalidConnectionVersion(ChainError):
    """A connection version that is malformed or unsupported."""

    codespace = "connection"
    code = 9
    summary = "invalid connection version"


class VersionNegotiationFailed(ChainError):
    """No connection version in common."""

    codespace = "connection"
    code = 10
    summary = "connection version negotiation failed"


class InvalidConnectionIdentifier(ChainError):
    """An identifier that this chain gives to no connection."""

    codespace = "connection"
    code = 11
    summary = "invalid connection identifier"


class ChannelNotFound(ChainError):
    """No channel has this port and identifier."""

    codespace = "channel"
    code = 3
    summary = "channel not found"


class InvalidChannelState(ChainError):
    """A channel in another state than the step needs."""

    codespace = "channel"
    code = 5
    summary = "invalid channel state"


class InvalidChannelOrdering(ChainError):
    """A channel ordering that the connection or application does not support."""

    codespace = "channel"
    code = 6
    summary = "invalid channel ordering"


class InvalidChannelCounterparty(ChainError):
    """A counterparty of a channel that the step does not allow."""

    codespace = "channel"
    code = 7
    summary = "invalid counterparty channel"


class InvalidPacket(ChainError):
    """A packet that breaks a rule of ICS-04 or is not the one sent."""

    codespace = "channel"
    code = 13
    summary = "invalid packet"


class TooManyConnectionHops(ChainError):
    """A channel over another number of connections than one."""

    codespace = "channel"
    code = 15
    summary = "too many connection hops"


class InvalidAcknowledgement(ChainError):
    """An acknowledgement that is empty or not canonical."""

    codespace = "channel"
    code = 16
    summary = "invalid acknowledgement"


class AcknowledgementExists(ChainError):
    """A packet is acknowledged once."""

    codespace = "channel"
    code = 17
    summary = "acknowledgement for packet already exists"


class InvalidChannelIdentifier(ChainError):
    """An identifier that this chain gives to no channel."""

    codespace = "channel"
    code = 18
    summary = "invalid channel identifier"


class PacketReceived(ChainError):
    """A packet that was received cannot time out."""

    codespace = "channel"
    code = 19
    summary = "packet already received"


class PacketCommitmentNotFound(ChainError):
    """No packet of this sequence is in flight."""

    codespace = "channel"
    code = 20
    summary = "packet commitment not found"


class PacketSequenceOutOfOrder(ChainError):
    """A packet of an ordered channel out of its turn."""

    codespace = "channel"
    code = 21
    summary = "packet sequence is out of order"


class RedundantTx(ChainError):
    """A transaction of packets that are all settled already; the mempool refuses it."""

    codespace = "channel"
    code = 22
    summary = "packet messages are redundant"


class InvalidChannelVersion(ChainError):
    """A channel version that the application does not speak."""

    codespace = "channel"
    code = 24
    summary = "invalid channel version"


class TimeoutNotReached(ChainError):
    """A packet that can still be received cannot time out."""

    codespace = "channel"
    code = 39
    summary = "timeout not reached"


class TimeoutElapsed(ChainError):
    """A packet past its timeout can no longer be received or sent."""

    codespace = "channel"
    code = 40
    summary = "timeout elapsed"


class AcknowledgementNotFound(ChainError):
    """No acknowledgement is stored for this packet."""

    codespace = "channel"
    code = 100
    summary = "packet acknowledgement not found"


class RouteNotFound(ChainError):
    """No application is bound to this port."""

    codespace = "port"
    code = 5
    summary = "route not found"


class Unauthorized(ChainError):
    """A message that only the chain's authority may send."""

    codespace = "ibc"
    code = 2
    summary = "unauthorized"


class InvalidMessage(ChainError):
    """A message of IBC core with a field out of its bounds."""

    codespace = "ibc"
    code = 8
    summary = "invalid request"


class UnpackFailed(ChainError):
    """An Any whose type or bytes are not what its place needs."""

    codespace = "ibc"
    code = 14
    summary = "failed unpacking protobuf message from Any"
