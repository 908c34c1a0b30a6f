"""The 07-tendermint client: headers and misbehaviour over the pure verifier, as ibc-go v10 judges.

Verification decides whether a message is true of the client's chain; only then is it asked whether
it shows that the chain misbehaved, which freezes the client, or updates the client.
"""

from dataclasses import dataclass
from typing import Final

from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain.ibc import host
from chain.ibc.client import state
from chain.ibc.client.state import ClientState, ConsensusState
from chain.ibc.client.tendermint_wire import (
    signed_header_from_pb,
    time_ns_from_pb,
    time_ns_to_pb,
    validator_set_from_pb,
)
from chain.ibc.errors import (
    ConsensusStateNotFound,
    InvalidChainId,
    InvalidClient,
    InvalidConsensusState,
    InvalidHeader,
    InvalidHeaderHeight,
    InvalidMaxClockDrift,
    InvalidMisbehaviour,
    InvalidProofSpecs,
    InvalidTrustingPeriod,
    InvalidUnbondingPeriod,
)
from chain.ibc.height import Height, parse_revision, replace_revision
from chain.lightclient import verifier
from chain.lightclient.predicates import validate_trusted_validators_hash
from chain.lightclient.types import (
    CHAIN_ID_BYTES_MAX,
    HASH_BYTES,
    INT64_MAX,
    Options,
    SignedHeader,
    TrustedState,
    TrustLevel,
    UntrustedBlock,
    validate_trust_level,
    validate_validator_set,
)
from chain.merkle.ics23 import validate_spec
from chain.merkle.ics23_codec import spec_from_message
from chain.runtime.context import Context
from chain.runtime.gas import SIGNATURE_ED25519
from chain.units import NANOSECONDS

HEADER_URL: Final = "/ibc.lightclients.tendermint.v1.Header"
MISBEHAVIOUR_URL: Final = "/ibc.lightclients.tendermint.v1.Misbehaviour"
FROZEN_HEIGHT: Final = Height(0, 1)
SENTINEL_ROOT: Final = b"sentinel_root"
"""The root of a consensus state that an upgrade made: nothing can be proven against it."""
PROOF_SPECS_MAX: Final = 8
SPEC_CHILDREN_MAX: Final = 16
"""Most children of a node: the work of an absence proof grows with their square."""
SPEC_DEPTH_MAX: Final = 512
"""Deepest tree: twice what a binary tree over 256-bit keys has."""

Header = tendermint_pb2.Header
Misbehaviour = tendermint_pb2.Misbehaviour


# Validation --------------------------------------------------------------------------------------


def _is_positive_duration(client: ClientState, field: str) -> bool:
    duration = getattr(client, field)
    in_bounds: bool = 0 <= duration.nanos < NANOSECONDS and duration.seconds >= 0
    return in_bounds and 0 < state.duration_ns(duration) <= INT64_MAX


def _validate_periods(client: ClientState) -> None:
    if not _is_positive_duration(client, "trusting_period"):
        raise InvalidTrustingPeriod("the trusting period must be above zero and below 2^63 ns")
    if not _is_positive_duration(client, "unbonding_period"):
        raise InvalidUnbondingPeriod("the unbonding period must be above zero and below 2^63 ns")
    if not _is_positive_duration(client, "max_clock_drift"):
        raise InvalidMaxClockDrift("the clock drift must be above zero and below 2^63 ns")
    trusting_ns = state.duration_ns(client.trusting_period)
    unbonding_ns = state.duration_ns(client.unbonding_period)
    if trusting_ns >= unbonding_ns:
        raise InvalidTrustingPeriod(
            f"trusting period {trusting_ns} ns must be below the unbonding period {unbonding_ns} ns"
        )


def validate_client_state(client: ClientState) -> None:
    """Refuse a client state that could not be followed safely.

    Raises InvalidChainId, lightclient.InvalidTrustLevel, InvalidTrustingPeriod,
    InvalidUnbondingPeriod, InvalidMaxClockDrift, InvalidHeaderHeight, InvalidProofSpecs,
    merkle.InvalidProofSpec or InvalidClient.
    """
    if not client.chain_id.strip() or len(client.chain_id.encode()) > CHAIN_ID_BYTES_MAX:
        raise InvalidChainId(
            f"chain id {client.chain_id[:60]!r} must have 1 to {CHAIN_ID_BYTES_MAX} bytes"
        )
    validate_trust_level(TrustLevel(client.trust_level.numerator, client.trust_level.denominator))
    _validate_periods(client)
    revision = parse_revision(client.chain_id)
    if client.latest_height.revision_number != revision:
        raise InvalidHeaderHeight(
            f"latest height has revision {client.latest_height.revision_number}, chain id "
            f"{client.chain_id!r} has {revision}"
        )
    if not 1 <= client.latest_height.revision_height <= INT64_MAX:
        raise InvalidHeaderHeight("the latest height must lie within [1, 2^63)")
    if not 1 <= len(client.proof_specs) <= PROOF_SPECS_MAX:
        raise InvalidProofSpecs(
            f"{len(client.proof_specs)} proof specs, must be 1 to {PROOF_SPECS_MAX}"
        )
    for spec in client.proof_specs:
        children = len(spec.inner_spec.child_order)
        if children > SPEC_CHILDREN_MAX or spec.max_depth > SPEC_DEPTH_MAX:
            raise InvalidProofSpecs(
                f"a spec of {children} children and depth {spec.max_depth} is above "
                f"{SPEC_CHILDREN_MAX} children or depth {SPEC_DEPTH_MAX}"
            )
        validate_spec(spec_from_message(spec))
    if not all(key.strip() for key in client.upgrade_path):
        raise InvalidClient("the upgrade path has a blank key")


def validate_consensus_state(consensus: ConsensusState) -> None:
    """Refuse a consensus state that no header gives; raises InvalidConsensusState."""
    root = consensus.root.hash
    if len(root) != HASH_BYTES and root != SENTINEL_ROOT:
        raise InvalidConsensusState(f"the root has {len(root)} bytes, must have {HASH_BYTES}")
    if len(consensus.next_validators_hash) != HASH_BYTES:
        raise InvalidConsensusState(
            f"next_validators_hash has {len(consensus.next_validators_hash)} bytes, must have "
            f"{HASH_BYTES}"
        )
    if not (
        0 <= consensus.timestamp.nanos < NANOSECONDS
        and consensus.timestamp.seconds > 0
        and state.timestamp_ns(consensus.timestamp) <= INT64_MAX
    ):
        raise InvalidConsensusState("the time must lie after 1970 and before 2262")


# Headers -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Signed:
    """A header message with its pure form and its height."""

    message: Header
    signed_header: SignedHeader
    height: Height

    @property
    def consensus(self) -> ConsensusState:
        """What the client keeps of the header."""
        header = self.signed_header.header
        return ConsensusState(
            timestamp=time_ns_to_pb(header.time_ns),
            root=commitment_pb2.MerkleRoot(hash=header.app_hash),
            next_validators_hash=header.next_validators_hash,
        )


def _read_header(ctx: Context, message: Header) -> _Signed:
    """The header in its pure form; gas for its signatures is paid before anything is verified."""
    ctx.gas.consume(SIGNATURE_ED25519 * len(message.signed_header.commit.signatures))
    signed_header = signed_header_from_pb(message.signed_header)
    header = signed_header.header
    height = Height(parse_revision(header.chain_id), header.height)
    trusted = Height.from_proto(message.trusted_height)
    if trusted >= height:
        raise InvalidHeaderHeight(f"trusted height {trusted} must be below header height {height}")
    if not 0 < header.time_ns <= INT64_MAX:
        raise InvalidHeader("the header time must lie after 1970 and before 2262")
    return _Signed(message, signed_header, height)


def _trusted_state(ctx: Context, client_id: str, signed: _Signed, chain_id: str) -> TrustedState:
    """The state the header builds on, with the validators the relayer says it announced."""
    trusted_height = Height.from_proto(signed.message.trusted_height)
    consensus = state.get_consensus_state(ctx, client_id, trusted_height)
    if consensus is None:
        raise ConsensusStateNotFound(
            f"client {client_id!r} holds nothing at trusted height {trusted_height}; build the "
            f"header on a height it was updated to"
        )
    validators = validator_set_from_pb(signed.message.trusted_validators)
    validate_validator_set(validators)
    validate_trusted_validators_hash(consensus.next_validators_hash, validators)
    return TrustedState(
        chain_id=chain_id,
        height=trusted_height.revision_height,
        time_ns=time_ns_from_pb(consensus.timestamp),
        next_validators_hash=consensus.next_validators_hash,
        next_validators=validators,
    )


def _options(client: ClientState) -> Options:
    return Options(
        trust_level=TrustLevel(client.trust_level.numerator, client.trust_level.denominator),
        trusting_period_ns=state.duration_ns(client.trusting_period),
        clock_drift_ns=state.duration_ns(client.max_clock_drift),
    )


def _require_success(verdict: verifier.Verdict) -> None:
    if isinstance(verdict, verifier.Invalid):
        raise verdict.error
    if isinstance(verdict, verifier.NotEnoughTrust):
        raise InvalidHeader(
            f"too little trusted power signed: {verdict.tally}; update to a header in between first"
        )


def _verify_header(ctx: Context, client_id: str, client: ClientState, signed: _Signed) -> None:
    message = signed.message
    trusted_height = Height.from_proto(message.trusted_height)
    if signed.height.revision_number != trusted_height.revision_number:
        raise InvalidHeaderHeight(
            f"header {signed.height} and trusted height {trusted_height} differ in revision"
        )
    trusted = _trusted_state(ctx, client_id, signed, client.chain_id)
    validators = validator_set_from_pb(message.validator_set)
    untrusted = UntrustedBlock(signed.signed_header, validators)
    _require_success(verifier.verify(trusted, untrusted, _options(client), ctx.time_ns))


def update(
    ctx: Context, client_id: str, message: Header, *, is_verified: bool = False
) -> Height | None:
    """Verify a header and store it: the height it is stored at, None when the client froze instead.

    A header already stored changes nothing. One that contradicts what is stored, or whose time
    breaks the order of heights, freezes the client. Raises when it does not verify, unless it
    `is_verified` before.
    """
    client = state.get_client_state(ctx, client_id)
    signed = _read_header(ctx, message)
    if not is_verified:
        _verify_header(ctx, client_id, client, signed)
    if _is_contradiction(ctx, client_id, signed):
        freeze(ctx, client_id)
        return None
    _prune_oldest(ctx, client_id, client)
    if state.get_consensus_state(ctx, client_id, signed.height) is None:
        if signed.height > Height.from_proto(client.latest_height):
            client.latest_height.CopyFrom(signed.height.to_proto())
        state.set_client_state(ctx, client_id, client)
        state.set_consensus_state(ctx, client_id, signed.height, signed.consensus)
    return signed.height


def _is_contradiction(ctx: Context, client_id: str, signed: _Signed) -> bool:
    """Whether a verified header shows a fork or a time that does not grow with the height."""
    offered = signed.consensus
    stored = state.get_consensus_state(ctx, client_id, signed.height)
    if stored is not None:
        return stored != offered
    time_ns = signed.signed_header.header.time_ns
    previous = state.get_previous_height(ctx, client_id, signed.height)
    if previous is not None:
        previous_ns = state.get_consensus_time_ns(ctx, client_id, previous)
        if previous_ns is not None and previous_ns >= time_ns:
            return True
    following = state.get_next_height(ctx, client_id, signed.height)
    if following is None:
        return False
    following_ns = state.get_consensus_time_ns(ctx, client_id, following)
    return following_ns is not None and following_ns <= time_ns


def _prune_oldest(ctx: Context, client_id: str, client: ClientState) -> None:
    """Forget the oldest consensus state if it expired: one an update bounds the work."""
    oldest = next(state.iterate_consensus_heights(ctx, client_id), None)
    if oldest is None:
        return
    time_ns = state.get_consensus_time_ns(ctx, client_id, oldest)
    if time_ns is not None and state.is_expired(client, time_ns, ctx.time_ns):
        state.delete_consensus_state(ctx, client_id, oldest)


def freeze(ctx: Context, client_id: str) -> None:
    """Stop believing a client until the chain's authority recovers it."""
    client = state.get_client_state(ctx, client_id)
    client.frozen_height.CopyFrom(FROZEN_HEIGHT.to_proto())
    state.set_client_state(ctx, client_id, client)


# Misbehaviour ------------------------------------------------------------------------------------


def submit_misbehaviour(ctx: Context, client_id: str, message: Misbehaviour) -> bool:
    """Verify two headers of the client's chain; freeze and return True when they contradict.

    Two different headers of one height, or a higher one that is not later, contradict. Raises when
    either does not verify.
    """
    client = state.get_client_state(ctx, client_id)
    host.validate_client_id(message.client_id)
    first, second = (_read_header(ctx, part) for part in (message.header_1, message.header_2))
    if first.message.trusted_height.revision_height == 0:
        raise InvalidHeaderHeight("the trusted height of header 1 is missing")
    if second.message.trusted_height.revision_height == 0:
        raise InvalidHeaderHeight("the trusted height of header 2 is missing")
    header_1, header_2 = first.signed_header.header, second.signed_header.header
    if header_1.chain_id != header_2.chain_id:
        raise InvalidMisbehaviour(
            f"headers of two chains, {header_1.chain_id!r} and {header_2.chain_id!r}"
        )
    if first.height < second.height:
        raise InvalidMisbehaviour(
            f"header 1 at {first.height} is below header 2 at {second.height}"
        )
    for signed in (first, second):
        chain_id = replace_revision(client.chain_id, signed.height.revision_number)
        trusted = _trusted_state(ctx, client_id, signed, chain_id)
        validators = validator_set_from_pb(signed.message.validator_set)
        untrusted = UntrustedBlock(signed.signed_header, validators)
        _require_success(
            verifier.verify_misbehaviour_header(trusted, untrusted, _options(client), ctx.time_ns)
        )
    if first.height == second.height:
        blocks = (first.signed_header.commit.block_id, second.signed_header.commit.block_id)
        is_proven = blocks[0].hash != blocks[1].hash
    else:
        is_proven = header_1.time_ns <= header_2.time_ns
    if is_proven:
        freeze(ctx, client_id)
    return is_proven


def initialize(
    ctx: Context, client_id: str, client: ClientState, consensus: ConsensusState
) -> None:
    """Write a new client with its first consensus state; validate both before."""
    state.set_client_state(ctx, client_id, client)
    height = Height.from_proto(client.latest_height)
    state.set_consensus_state(ctx, client_id, height, consensus)


def zero_custom_fields(client: ClientState) -> ClientState:
    """The part of a client state that its chain decides, as an upgrading chain commits to it."""
    return ClientState(
        chain_id=client.chain_id,
        trust_level=tendermint_pb2.Fraction(),
        unbonding_period=client.unbonding_period,
        frozen_height=client_pb2.Height(),
        latest_height=client.latest_height,
        proof_specs=client.proof_specs,
        upgrade_path=client.upgrade_path,
    )
