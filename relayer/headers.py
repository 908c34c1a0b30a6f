"""Headers for light clients: what a client must be shown to trust a newer height.

A header carries its commit, its validator set and the set the client already trusts. When the
sets have moved too far for one step, the verifier answers NotEnoughTrust and the way is bisected
(ICS-07).
"""

import asyncio
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from chain._pb.ibc.core.client.v1 import client_pb2
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain._pb.tendermint.types import types_pb2, validator_pb2
from relayer.endpoint import Endpoint

NANOSECONDS: Final = 1_000_000_000


def to_time_ns(timestamp: Timestamp) -> int:
    """A protobuf timestamp in nanoseconds since 1970."""
    return timestamp.seconds * NANOSECONDS + timestamp.nanos


def with_proposer(
    validators: validator_pb2.ValidatorSet, proposer_address: bytes
) -> validator_pb2.ValidatorSet:
    """The set naming its proposer, which Go's decoder asks for; the hash does not cover it."""
    named = validator_pb2.ValidatorSet()
    named.CopyFrom(validators)
    for validator in validators.validators:
        if validator.address == proposer_address:
            named.proposer.CopyFrom(validator)
            return named
    if not named.HasField("proposer") and validators.validators:
        named.proposer.CopyFrom(validators.validators[0])
    return named


async def fetch_signed_header(endpoint: Endpoint, height: int) -> types_pb2.SignedHeader:
    """The header and commit at a height, which must be committed."""
    return await endpoint.ask("commit", lambda client: client.commit(height))


async def fetch_validators(endpoint: Endpoint, height: int) -> validator_pb2.ValidatorSet:
    """The validator set that signs at a height."""
    return await endpoint.ask("validators", lambda client: client.validators(height))


async def fetch_header(
    endpoint: Endpoint, target_height: int, trusted: client_pb2.Height
) -> tendermint_pb2.Header:
    """The update header of one step from a trusted height to the target height."""
    signed, validators, trusted_validators = await asyncio.gather(
        fetch_signed_header(endpoint, target_height),
        fetch_validators(endpoint, target_height),
        # What is trusted at a height is the set that signs the next one.
        fetch_validators(endpoint, trusted.revision_height + 1),
    )
    proposer = signed.header.proposer_address
    return tendermint_pb2.Header(
        signed_header=signed,
        validator_set=with_proposer(validators, proposer),
        trusted_height=trusted,
        trusted_validators=with_proposer(trusted_validators, proposer),
    )


def to_consensus_state(header: types_pb2.Header) -> tendermint_pb2.ConsensusState:
    """What a client keeps of a header."""
    return tendermint_pb2.ConsensusState(
        timestamp=header.time,
        root=commitment_pb2.MerkleRoot(hash=header.app_hash),
        next_validators_hash=header.next_validators_hash,
    )
