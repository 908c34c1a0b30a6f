"""Connection versions of ICS-03: what features two chains agree to use on a connection. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from chain._pb.ibc.core.connection.v1 import connection_pb2
from chain.ibc.errors import InvalidConnectionVersion, VersionNegotiationFailed

Version = connection_pb2.Version

IDENTIFIER: Final = "1"
FEATURES: Final = ("ORDER_ORDERED", "ORDER_UNORDERED")
VERSIONS_MAX: Final = 100
FEATURES_MAX: Final = 100


def build_default_version() -> Version:
    """The one version this chain speaks: ordered and unordered channels."""
    return Version(identifier=IDENTIFIER, features=FEATURES)


def validate_version(version: Version) -> None:
    """Raises InvalidConnectionVersion for a blank identifier or feature, or too many features."""
    if not version.identifier.strip():
        raise InvalidConnectionVersion("a version needs an identifier")
    if len(version.features) > FEATURES_MAX:
        raise InvalidConnectionVersion(
            f"version {version.identifier!r} has {len(version.features)} features, at most "
            f"{FEATURES_MAX} are allowed"
        )
    if not all(feature.strip() for feature in version.features):
        raise InvalidConnectionVersion(f"version {version.identifier!r} has a blank feature")


def is_supported(supported: Iterable[Version], proposed: Version) -> bool:
    """Whether one of the supported versions has this identifier and all of these features."""
    return bool(proposed.features) and any(
        version.identifier == proposed.identifier
        and all(feature in version.features for feature in proposed.features)
        for version in supported
    )


def pick_version(counterparty_versions: Sequence[Version]) -> Version:
    """The version both chains speak, with the features in common.

    Raises VersionNegotiationFailed when there is none.
    """
    for version in counterparty_versions:
        if version.identifier == IDENTIFIER:
            features = [feature for feature in FEATURES if feature in version.features]
            if features:
                return Version(identifier=IDENTIFIER, features=features)
            break
    offered = ", ".join(repr(version.identifier) for version in counterparty_versions)
    raise VersionNegotiationFailed(
        f"the counterparty offers {offered}; this chain speaks {IDENTIFIER!r} with "
        f"{' or '.join(FEATURES)}"
    )
