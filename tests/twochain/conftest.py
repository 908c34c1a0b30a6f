"""Paths for the two-chain tests."""

import pytest

from chain.ibc.router import ORDER_ORDERED
from tests.twochain.path import Coordinator, Path


@pytest.fixture
def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
def path(coordinator: Coordinator) -> Path:
    """An open unordered channel between two echo applications."""
    return coordinator.create_echo_path().setup()


@pytest.fixture
def ordered_path(coordinator: Coordinator) -> Path:
    """An open ordered channel between two echo applications."""
    return coordinator.create_echo_path(ORDER_ORDERED).setup()
