"""Connection versions: what two chains agree on."""

import pytest

from chain.ibc.connection.versions import (
    FEATURES,
    Version,
    build_default_version,
    is_supported,
    pick_version,
    validate_version,
)
from chain.ibc.errors import InvalidConnectionVersion, VersionNegotiationFailed


def test_same_version_is_picked_whole() -> None:
    assert pick_version([build_default_version()]) == build_default_version()


def test_features_in_common_are_picked_in_our_order() -> None:
    offered = Version(identifier="1", features=["ORDER_DAG", *reversed(FEATURES)])
    assert list(pick_version([offered]).features) == list(FEATURES)


@pytest.mark.parametrize(
    "offered",
    [
        [],
        [Version(identifier="2", features=FEATURES)],
        [Version(identifier="1")],
        [Version(identifier="1", features=["ORDER_DAG"])],
    ],
)
def test_nothing_in_common_is_refused(offered: list[Version]) -> None:
    with pytest.raises(VersionNegotiationFailed):
        pick_version(offered)


def test_supported_means_all_features() -> None:
    ours = [build_default_version()]
    assert is_supported(ours, Version(identifier="1", features=FEATURES[:1]))
    assert not is_supported(ours, Version(identifier="1"))
    assert not is_supported(ours, Version(identifier="1", features=[*FEATURES, "ORDER_DAG"]))


@pytest.mark.parametrize(
    "version",
    [
        Version(features=FEATURES),
        Version(identifier=" ", features=FEATURES),
        Version(identifier="1", features=[""]),
        Version(identifier="1", features=["x"] * 101),
    ],
)
def test_malformed_version_is_refused(version: Version) -> None:
    with pytest.raises(InvalidConnectionVersion):
        validate_version(version)
