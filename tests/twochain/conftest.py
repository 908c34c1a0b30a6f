"""Paths for the two-chain tests."""

from collections.abc import Iterator

import pytest

from chain.ibc.router import ORDER_ORDERED
from tests.twochain.path import Coordinator, Path


@pytest.fixture
def coordinator() -> Iterator[Coordinator]:
    """Chains on one clock; a test fails when any of them met an exception nobody expected."""
    coordinator = Coordinator()
    yield coordinator
    for chain in coordinator.chains:
        hooks = {"echo.begin_block"}  # A script that a test made fail on purpose.
        assert not [place for place in chain.app.errors.by_place if place not in hooks]


@pytest.fixture
def path(coordinator: Coordinator) -> Path:
    """An open unordered channel between two echo applications."""
    return coordinator.create_echo_path().setup()


@pytest.fixture
def ordered_path(coordinator: Coordinator) -> Path:
    """An open ordered channel between two echo applications."""
    return coordinator.create_echo_path(ORDER_ORDERED).setup()
