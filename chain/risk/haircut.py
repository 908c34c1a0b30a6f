"""Haircuts: how much of a lien's value counts (systems rows 2, 3 and 5).

Weights and haircuts are ppm. A haircut is composed in one fixed order, floored after each factor:
market and size together, latency, security, staleness.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

from chain.units import (
    NANOSECONDS,
    PPM,
    WAD,
    YEAR_S,
    ceil_div,
    clamp,
    floor_div,
    mul_div_floor,
    mul_ppm_floor,
)

CONFIDENCE_Z = 3
"""Standard deviations of price movement that the latency premium covers."""
SIZE_WEIGHT_NUMERATOR_PPM = 1_100_000
"""The 1.1 of the size discount 1.1 / (1 + imf·√size)."""
LIABILITY_SHARE_PPM = 800_000
"""The 0.8 of the liability weight max(w, 0.8·w + imf·√size)."""
_DAY_NS = 86_400 * NANOSECONDS


@dataclass(frozen=True, slots=True)
class HaircutFactors:
    """Everything that turns one lien into counted value: its asset, recognised amount and factors.

    `recognized_amount` (atomic units) is the part below the route's recognition cap; `asset` names
    the oracle price, `decimals` scales atomic units to whole ones. `market_ppm`, `latency_ppm`,
    `security_ppm` and `staleness_ppm` are haircuts; `size_weight_ppm` is already a weight
    (`compute_size_weight_ppm`), PPM when size takes nothing. `initial` are the factors that new
    risk is judged by, None when they are these: they differ while something ramps in.
    """

    asset: str
    decimals: int
    recognized_amount: int
    market_ppm: int
    size_weight_ppm: int
    latency_ppm: int
    security_ppm: int
    staleness_ppm: int
    initial: "HaircutFactors | None" = None


@dataclass(frozen=True, slots=True)
class LienValue:
    """One lien valued: V at the price, its composed haircut, and the floored V·(1 - H), in uusd.

    `counted_uusd` is what maintenance counts, `counted_initial_uusd` what new risk, withdrawals and
    credit count: less while a rise of a haircut ramps in (row 20).
    """

    value_uusd: int
    haircut_ppm: int
    counted_uusd: int
    counted_initial_uusd: int


@lru_cache(maxsize=4_096)
def compute_latency_premium_ppm(
    volatility_wad: int, delta_t_s: int, confidence_z: int = CONFIDENCE_Z
) -> int:
    """L = ceil(z·sigma·√(δt/YEAR)) in ppm, by integer square root (row 3).

    `volatility_wad` is annual; `delta_t_s` is in market seconds. The radicand holds every factor,
    so that only one rounding happens. Not clamped: composing a haircut clamps each factor.
    """
    assert volatility_wad >= 0
    assert delta_t_s >= 0
    scaled = confidence_z * volatility_wad * PPM
    # (z·sigma·1e6)²·δt / (YEAR·1e36): the ceiling of a root is the root of the ceiling, or one
    # more.
    radicand = ceil_div(scaled * scaled * delta_t_s, YEAR_S * WAD * WAD)
    root = isqrt(radicand)
    return root if root * root == radicand else root + 1


def compute_size_root_wad(amount: int, decimals: int) -> int:
    """√size in WAD, rounded up; size is `amount` atomic units as whole units."""
    radicand = ceil_div(amount * WAD * WAD, 10**decimals)
    root = isqrt(radicand)
    return root if root * root == radicand else root + 1


def compute_size_weight_ppm(
    imf_wad: int, owner_amount: int, decimals: int, start_amount: int, total_amount: int
) -> int:
    """The size weight min(1, 1.1 / (1 + imf·√size))·min(1, start / total), floored to ppm (row 2).

    `owner_amount` is everything the owner has in the asset over all accounts and routes;
    `total_amount` is what all accounts hold, scaled back once it passes `start_amount` (0: no
    start).
    """
    charge_wad = ceil_div(imf_wad * compute_size_root_wad(owner_amount, decimals), WAD)
    weight = min(PPM, mul_div_floor(SIZE_WEIGHT_NUMERATOR_PPM, WAD, WAD + charge_wad))
    if 0 < start_amount < total_amount:
        weight = mul_div_floor(weight, start_amount, total_amount)
    return weight


def compute_liability_weight_ppm(weight_ppm: int, imf_wad: int, amount: int, decimals: int) -> int:
    """The weight max(w, 0.8·w + imf·√size) of a liability, rounded up to ppm (row 2)."""
    charge_wad = imf_wad * compute_size_root_wad(amount, decimals)
    grown = ceil_div(
        LIABILITY_SHARE_PPM * weight_ppm * WAD * WAD + charge_wad * PPM * PPM, PPM * WAD * WAD
    )
    return max(weight_ppm, grown)


def compute_haircut_ppm(
    market_ppm: int, size_weight_ppm: int, latency_ppm: int, security_ppm: int, staleness_ppm: int
) -> int:
    """H = 1 - Π(1 - h_k) in ppm; each h is clamped to [0, 1], the product floored after each
    factor.
    """
    weight = min(PPM - clamp(market_ppm, 0, PPM), clamp(size_weight_ppm, 0, PPM))
    for haircut in (latency_ppm, security_ppm, staleness_ppm):
        weight = mul_ppm_floor(weight, PPM - clamp(haircut, 0, PPM))
    return PPM - weight


def compute_path_security_ppm(route_ppm: int, hop_ppm: int, further_hops: int) -> int:
    """The security haircut of a token that crossed further chains before its route (row 51).

    1 - (1 - route)·(1 - hop)^hops in ppm: every hop multiplies, the kept share floored each time.
    """
    kept = PPM - clamp(route_ppm, 0, PPM)
    for _ in range(further_hops):
        kept = mul_ppm_floor(kept, PPM - clamp(hop_ppm, 0, PPM))
        if kept == 0 or hop_ppm == 0:
            break
    return PPM - kept


def compute_asset_value_uusd(amount: int, price_wad: int, decimals: int) -> int:
    """V = floor(amount·P / 10^decimals) in uusd, `price_wad` USD a whole unit."""
    return floor_div(amount * price_wad, 10 ** (decimals + 12))


def compute_lien_value(factors: HaircutFactors, price_wad: int) -> LienValue:
    """The lien's V, H and floor(V·(1 - H)) at a price, for what exists and for new risk."""
    value, haircut, counted = _compute_counted(factors, price_wad)
    initial = counted
    if factors.initial is not None:
        _, _, initial = _compute_counted(factors.initial, price_wad)
    return LienValue(value, haircut, counted, initial)


def _compute_counted(factors: HaircutFactors, price_wad: int) -> tuple[int, int, int]:
    value = compute_asset_value_uusd(factors.recognized_amount, price_wad, factors.decimals)
    haircut = compute_haircut_ppm(
        factors.market_ppm,
        factors.size_weight_ppm,
        factors.latency_ppm,
        factors.security_ppm,
        factors.staleness_ppm,
    )
    return value, haircut, mul_ppm_floor(value, PPM - haircut)


def compute_market_haircut_ppm(
    *, base_ppm: int, beta_ppm: int, excess_wad: int, min_ppm: int, max_ppm: int
) -> int:
    """The target clamp(base + beta·max(0, sigma - sigma_ref), min, max), rounded up (row 20).

    `excess_wad` is sigma - sigma_ref, annual.
    """
    target = base_ppm + ceil_div(beta_ppm * max(0, excess_wad), WAD)
    return clamp(target, min_ppm, max_ppm)


def compute_unrecognized_ppm(capacity_uusd: int, value_uusd: int) -> int:
    """The share of a route's value beyond what its stake carries, rounded up (row 5)."""
    if value_uusd <= capacity_uusd:
        return 0
    return ceil_div((value_uusd - capacity_uusd) * PPM, value_uusd)


def compute_capped_rate_wad(
    rate_wad: int, feed_wad: int, growth_day_ppm: int, elapsed_ns: int
) -> int:
    """The exchange rate of yield-bearing collateral after a time of the market's clock (row 11).

    It falls with its feed at once, and rises with it by at most `growth_day_ppm` a day; a quiet
    time saves up no more than a day of growth.
    """
    grown = rate_wad + mul_div_floor(
        rate_wad * growth_day_ppm, min(elapsed_ns, _DAY_NS), PPM * _DAY_NS
    )
    return min(feed_wad, grown)
