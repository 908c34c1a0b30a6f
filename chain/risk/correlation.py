"""Correlation across underlyings and the global volatility index (systems rows 16 and 19).

Correlations are ppm, in a square matrix by the order of the assets. A matrix is uploaded rarely and
checked once; requirements are integer roots, rounded up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

from chain.errors import ChainError
from chain.units import PPM, ceil_div, clamp, floor_div

ASSETS_MAX: Final = 64
"""Assets of a matrix: its check is exact and its cost grows with the fourth power."""
FLOOR_SHARE_PPM: Final = 300_000
"""The requirement is at least this share of the losses' sum: diversification has a limit."""
TIERS_PPM: Final = (
    # (index at or above, multiplier of initial margin)
    (0, 1_000_000),
    (600_000, 1_000_000),
    (900_000, 1_150_000),
    (1_300_000, 1_300_000),
    (1_800_000, 1_500_000),
)
"""Row 19: x1 from 60 %, x1.15 from 90 %, x1.3 from 130 %, x1.5 from 180 %."""
HYSTERESIS_BLOCKS: Final = 10
CORNERS_FREE_MAX: Final = 4
"""Underlyings that can lose both ways whose directions are tried one against the other."""
SHRINK_STEPS: Final = 16
"""A matrix that lost its positive semi-definiteness goes back to its prior in these steps."""


class InvalidCorrelation(ChainError):
    """A matrix that is no correlation matrix, or does not fit its assets."""

    codespace = "risk"
    code = 7
    summary = "invalid correlation matrix"


def validate_correlation(matrix: Sequence[Sequence[int]]) -> None:
    """Raise InvalidCorrelation unless the matrix is square, symmetric, within [-1, 1], has ones on
    its diagonal and is positive semi-definite.
    """
    size = len(matrix)
    if not 1 <= size <= ASSETS_MAX:
        raise InvalidCorrelation(f"correlation: {size} assets, needs 1 to {ASSETS_MAX}")
    for i, row in enumerate(matrix):
        if len(row) != size:
            raise InvalidCorrelation(f"correlation[{i}]: {len(row)} entries, needs {size}")
        for j, value in enumerate(row):
            if not -PPM <= value <= PPM:
                raise InvalidCorrelation(
                    f"correlation[{i}][{j}]: {value} ppm must lie within [-{PPM}, {PPM}]"
                )
            if value != matrix[j][i]:
                raise InvalidCorrelation(
                    f"correlation[{i}][{j}]: {value} differs from [{j}][{i}] {matrix[j][i]}"
                )
        if row[i] != PPM:
            raise InvalidCorrelation(f"correlation[{i}][{i}]: {row[i]} must be {PPM}")
    if not is_positive_semidefinite(matrix):
        raise InvalidCorrelation(
            "correlation: not positive semi-definite, some portfolio would have negative variance"
        )


def is_positive_semidefinite(matrix: Sequence[Sequence[int]]) -> bool:
    """Whether a symmetric integer matrix has no negative eigenvalue, exactly.

    LDLᵀ without fractions (Bareiss): each step divides exactly by the pivot before, so the
    entries stay minors of the matrix. A zero pivot needs a zero row, else the form goes negative.
    """
    work = [list(row) for row in matrix]
    size = len(work)
    divisor = 1
    for k in range(size):
        pivot = work[k][k]
        if pivot < 0:
            return False
        if pivot == 0:
            if any(work[k][k + 1 :]):
                return False
            continue
        for i in range(k + 1, size):
            for j in range(i, size):
                work[i][j] = (work[i][j] * pivot - work[k][i] * work[k][j]) // divisor
                work[j][i] = work[i][j]
        divisor = pivot
    return True


def _compute_root_ceil(value: int) -> int:
    root = isqrt(value)
    return root if root * root == value else root + 1


def compute_quadratic_form(matrix: Sequence[Sequence[int]], vector: Sequence[int]) -> int:
    """The double sum of rho_ij·x_i·x_j, in ppm of the vector's unit squared."""
    if len(matrix) != len(vector):
        raise InvalidCorrelation(f"correlation: {len(matrix)} assets, {len(vector)} figures")
    return sum(
        left * sum(rho * right for rho, right in zip(row, vector, strict=True))
        for row, left in zip(matrix, vector, strict=True)
    )


def compute_correlated_requirement(matrix: Sequence[Sequence[int]], losses: Sequence[int]) -> int:
    """R = isqrt(ΣΣ rho·l_i·l_j) rounded up, at least 30 % of Σ|l| (row 16).

    `losses` are signed by the direction that hurts: two longs have the same sign, a long and a
    short opposite ones. The matrix must have passed `validate_correlation`.
    """
    form = max(0, compute_quadratic_form(matrix, losses))
    root = _compute_root_ceil(ceil_div(form, PPM))
    return max(root, ceil_div(sum(map(abs, losses)) * FLOOR_SHARE_PPM, PPM))


def compute_sample_correlation_ppm(first: Sequence[int], second: Sequence[int]) -> int:
    """The correlation of two series of returns about zero, in ppm, rounded toward zero.

    Returns of one period have a mean far below their spread: taking it as zero keeps the estimate
    positive semi-definite over any number of assets. A series without movement correlates 0.
    """
    assert len(first) == len(second)
    product = sum(a * b for a, b in zip(first, second, strict=True))
    squares = sum(a * a for a in first) * sum(b * b for b in second)
    if squares == 0:
        return 0
    # |product| <= root by Cauchy-Schwarz; the root rounded up keeps it there.
    magnitude = abs(product) * PPM // _compute_root_ceil(squares)
    return magnitude if product > 0 else -magnitude


def _compute_bounded_entry(
    covariance: int, variances: tuple[int, int], prior_ppm: int, band_ppm: int
) -> int:
    square = variances[0] * variances[1]
    if variances[0] <= 0 or variances[1] <= 0:
        return prior_ppm
    magnitude = abs(covariance) * PPM // _compute_root_ceil(square)
    measured = magnitude if covariance > 0 else -magnitude
    low, high = max(-PPM, prior_ppm - band_ppm), min(PPM, prior_ppm + band_ppm)
    return clamp(measured, low, high)


def compute_bounded_correlation(
    covariance: Sequence[Sequence[int]], prior_ppm: Sequence[Sequence[int]], band_ppm: int
) -> tuple[tuple[int, ...], ...]:
    """Correlations of covariances, each within its prior plus or minus a band; semi-definite.

    Clamping entry by entry can break positive semi-definiteness. The prior is semi-definite and the
    set of such matrices is convex, so the matrix is drawn towards the prior in sixteenths until
    LDLᵀ accepts it, which the prior itself ends. An asset that never moved keeps its prior.
    `prior_ppm` must have passed `validate_correlation`.
    """
    size = len(prior_ppm)
    bounded = [[PPM] * size for _ in range(size)]
    for i in range(size):
        for j in range(i):
            bounded[i][j] = bounded[j][i] = _compute_bounded_entry(
                covariance[i][j],
                (covariance[i][i], covariance[j][j]),
                prior_ppm[i][j],
                band_ppm,
            )
    for step in range(SHRINK_STEPS, 0, -1):
        drawn = tuple(
            tuple(
                before + floor_div((after - before) * step, SHRINK_STEPS)
                for before, after in zip(prior_row, row, strict=True)
            )
            for prior_row, row in zip(prior_ppm, bounded, strict=True)
        )
        if is_positive_semidefinite(drawn):
            return drawn
    return tuple(tuple(row) for row in prior_ppm)


def compute_volatility_index_ppm(
    matrix: Sequence[Sequence[int]], weights_ppm: Sequence[int], volatilities_ppm: Sequence[int]
) -> int:
    """The index isqrt(ΣΣ w_i·w_j·rho_ij·s_i·s_j) in ppm, floored (row 19)."""
    products = [w * s for w, s in zip(weights_ppm, volatilities_ppm, strict=True)]
    form = max(0, compute_quadratic_form(matrix, products))
    return isqrt(form // PPM**3)


@dataclass(frozen=True, slots=True)
class TierState:
    """The tier in force, and for how many blocks on end the index has asked for another one."""

    tier: int = 0
    blocks_elsewhere: int = 0


def compute_tier(index_ppm: int) -> int:
    """The tier that an index falls into."""
    return max(tier for tier, (least, _) in enumerate(TIERS_PPM) if index_ppm >= least)


def compute_tier_state(state: TierState, index_ppm: int) -> TierState:
    """The state after one block: the tier moves once ten blocks on end asked for another."""
    wanted = compute_tier(index_ppm)
    if wanted == state.tier:
        return TierState(state.tier, 0)
    blocks = state.blocks_elsewhere + 1
    return TierState(wanted, 0) if blocks >= HYSTERESIS_BLOCKS else TierState(state.tier, blocks)


def compute_tier_multiplier_ppm(state: TierState) -> int:
    """What initial margin is multiplied by in this tier."""
    return TIERS_PPM[state.tier][1]


def compute_reachable_requirement(
    matrix: Sequence[Sequence[int]],
    losses: Sequence[int],
    reachable: Sequence[Sequence[int]],
) -> int:
    """An upper bound of R over every fill of open orders, without trying their combinations.

    `reachable` holds, an asset, the extreme losses that its orders can lead to. R is a norm (or a
    multiple of the sum), so R(l + d) <= R(l) + Σ|d|; and never more than the sum of magnitudes.
    """
    extremes = [(loss, *ends) for loss, ends in zip(losses, reachable, strict=True)]
    added = sum(max(abs(end - ends[0]) for end in ends) for ends in extremes)
    gross = sum(max(map(abs, ends)) for ends in extremes)
    return min(compute_correlated_requirement(matrix, losses) + added, gross)


def compute_two_way_requirement(
    matrix: Sequence[Sequence[int]],
    losses: Sequence[int],
    reachable: Sequence[Sequence[int]],
    ranges: Sequence[tuple[int, int] | None],
) -> int:
    """An upper bound of R when some assets can lose both ways, as options can.

    A range is (what a rising price takes, at most zero; what a falling one takes); None for an
    asset that loses one way, whose `losses` and `reachable` count as in
    `compute_reachable_requirement`. R is convex, so over all ranges it is largest in a corner:
    the corners of up to CORNERS_FREE_MAX assets are tried, more are added up by the bound of
    orders.
    """
    free = [place for place, ends in enumerate(ranges) if ends is not None and ends[0] != ends[1]]
    chosen = [loss if ends is None else ends[1] for loss, ends in zip(losses, ranges, strict=True)]
    reached = [
        tuple(ends) if both is None else () for ends, both in zip(reachable, ranges, strict=True)
    ]
    if len(free) > CORNERS_FREE_MAX:
        for place in free:
            ends = ranges[place]
            assert ends is not None
            chosen[place] = max(ends, key=abs)
            reached[place] = ends
        return compute_reachable_requirement(matrix, chosen, reached)
    worst = 0
    for corner in range(1 << len(free)):
        for bit, place in enumerate(free):
            ends = ranges[place]
            assert ends is not None
            chosen[place] = ends[corner >> bit & 1]
        worst = max(worst, compute_reachable_requirement(matrix, chosen, reached))
    return worst
