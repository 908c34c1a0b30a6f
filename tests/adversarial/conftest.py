"""The world of these tests: built once, read by judgements that commit nothing."""

import pytest

from tests.adversarial.world import World, build_world, play_story


@pytest.fixture(scope="session")
def world() -> World:
    """Both chains in the middle of their lives; tests judge and never commit."""
    return play_story(build_world())


@pytest.fixture
def moving() -> World:
    """A world of a test's own, to commit blocks in."""
    return play_story(build_world())
