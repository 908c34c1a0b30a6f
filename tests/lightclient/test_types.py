"""Bounds that no other test reaches: trust levels and client options."""

from dataclasses import replace

import pytest

from chain.lightclient.errors import InvalidOptions, InvalidTrustLevel
from chain.lightclient.types import (
    INT64_MAX,
    ONE_THIRD,
    TWO_THIRDS,
    TrustLevel,
    validate_options,
    validate_trust_level,
)
from tests.support.headers import OPTIONS


@pytest.mark.parametrize("level", [ONE_THIRD, TWO_THIRDS, TrustLevel(1, 1), TrustLevel(34, 100)])
def test_trust_level_within_bounds(level: TrustLevel) -> None:
    validate_trust_level(level)


@pytest.mark.parametrize(
    "level",
    [
        TrustLevel(0, 1),
        TrustLevel(1, 4),
        TrustLevel(33, 100),
        TrustLevel(4, 3),
        TrustLevel(1, 0),
        TrustLevel(-1, -1),
        TrustLevel(INT64_MAX + 1, INT64_MAX + 1),
    ],
)
def test_trust_level_out_of_bounds_is_refused(level: TrustLevel) -> None:
    with pytest.raises(InvalidTrustLevel):
        validate_trust_level(level)


@pytest.mark.parametrize("field", ["trusting_period_ns", "clock_drift_ns"])
@pytest.mark.parametrize("value", [0, -1, INT64_MAX + 1])
def test_options_out_of_bounds_are_refused(field: str, value: int) -> None:
    validate_options(OPTIONS)
    with pytest.raises(InvalidOptions):
        validate_options(replace(OPTIONS, **{field: value}))
