"""The node's own wiring: what its logs show of a failure."""

from typing import Literal

import pytest
import structlog

from chain.node.config import LogSettings
from chain.node.node import configure_logging


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_logged_failure_shows_no_locals(
    style: Literal["console", "json"], capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(genesis: str) -> None:
        raise ValueError(f"{len(genesis)} bytes refused")

    configure_logging(LogSettings(format=style))
    try:
        fail("local" * 100)
    except ValueError as error:
        structlog.get_logger("abci").error("node halts", exc_info=error)
    finally:
        structlog.reset_defaults()
    shown = capfd.readouterr().err
    assert "ValueError: 500 bytes refused" in shown
    assert "locallocal" not in shown
