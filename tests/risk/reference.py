"""The formulas once more, in `decimal` at 70 digits: written from the rules, not from the code."""

from decimal import Decimal, getcontext
from functools import cache

getcontext().prec = 70
ZERO, ONE = Decimal(0), Decimal(1)
TINY = Decimal(10) ** -68
YEAR = Decimal(31_536_000)
WAD = Decimal(10) ** 18


def compute_arctangent_of_inverse(n: int) -> Decimal:
    term = total = ONE / n
    k = 1
    while abs(term) > TINY:
        term, k = -term / (n * n), k + 2
        total += term / k
    return total


# Machin's formula.
PI = 4 * (4 * compute_arctangent_of_inverse(5) - compute_arctangent_of_inverse(239))
ROOT_TWO_PI = (2 * PI).sqrt()


def density(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / ROOT_TWO_PI


def distribution(x: Decimal) -> Decimal:
    """1/2 + n(x)·(x + x³/3 + x⁵/15 + …), Marsaglia's series."""
    if x < 0:
        return 1 - distribution(-x)
    if x > 40:
        return ONE
    term = total = x
    k = 1
    while term > TINY:
        k += 2
        term = term * x * x / k
        total += term
    return ONE / 2 + density(x) * total


@cache
def black76(forward: Decimal, strike: Decimal, vol: Decimal, years: Decimal, kind: str) -> Decimal:
    sign = 1 if kind == "call" else -1
    if forward == 0 or vol == 0 or years == 0:
        return max(ZERO, sign * (forward - strike))
    deviation = vol * years.sqrt()
    d1 = (forward / strike).ln() / deviation + deviation / 2
    return sign * (
        forward * distribution(sign * d1) - strike * distribution(sign * (d1 - deviation))
    )


def black_scholes(spot, strike, vol, years, kind, rate, carry):
    """(price, delta, gamma, vega, theta, rho) with vol and time above zero."""
    sign = 1 if kind == "call" else -1
    deviation = vol * years.sqrt()
    d1 = ((spot / strike).ln() + (rate - carry) * years) / deviation + deviation / 2
    d2 = d1 - deviation
    grown, discount = (-carry * years).exp(), (-rate * years).exp()
    cdf1, cdf2, pdf = distribution(sign * d1), distribution(sign * d2), density(d1)
    theta = (
        -spot * grown * pdf * vol / (2 * years.sqrt())
        - sign * rate * strike * discount * cdf2
        + sign * carry * spot * grown * cdf1
    )
    return (
        sign * (spot * grown * cdf1 - strike * discount * cdf2),
        sign * grown * cdf1,
        grown * pdf / (spot * deviation),
        spot * grown * pdf * years.sqrt(),
        theta,
        sign * strike * years * discount * cdf2,
    )


DAY, MONTH = Decimal(86_400), Decimal(30 * 86_400)
EIGHT_TAILS = {
    "-0.66": "0.24",
    "-0.33": "0.48",
    "0.5": "0.32",
    "1": "0.16",
    "2": "0.08",
    "3": "0.0533",
    "4": "0.04",
    "5": "0.032",
}


def pairs(text):
    """A dictionary of decimals from `name value` words."""
    words = text.split()
    return {name: Decimal(value) for name, value in zip(words[::2], words[1::2], strict=True)}


PMRM21 = pairs(
    "im_factor 1.3 mm_factor 1 base_discount .95 rate_mult 4 rate_add .05 vol_up .45 vol_down .3 "
    "short_pow .3 long_pow .13 dte_floor 86400 perp_pct .02 base_pct .02 opt_pct .01 "
    "basis_add .25 basis_mult .01 basis_up 1.05 basis_down .95 peg_threshold .98 peg_factor 2 "
    "conf_threshold .6 conf_margin .5 net_delta_pct 0 hedged_delta_pct 0"
)
SCAN24 = PMRM21 | pairs(
    "im_factor 1 mm_factor .5 base_discount 1 rate_mult 0 rate_add 0 vol_up .4 vol_down .22 "
    "perp_pct 0 base_pct 0 opt_pct 0 basis_add 0 basis_mult 0 net_delta_pct .02 "
    "hedged_delta_pct .01"
)
STANDARD = pairs(
    "base .15 floor .10 mm_call .075 mm_put .075 mm_put_mtm .075 put_scale 1.05 unpaired_im 1.2 "
    "unpaired_mm 1.1 perp_im .065 perp_mm .05 base_factor .8 peg_threshold .98 peg_factor 1.2 "
    "conf_threshold .4 conf_factor .4"
)
RANGE = Decimal("0.15")
"""The price range of span16, a parameter; the rows of the sets follow, (factor, vol, weight)."""
SPAN16_ROWS = [
    (1 + RANGE * thirds / 3, vol, ONE) for thirds in range(-3, 4) for vol in ("up", "down")
] + [(1 + RANGE * double, "none", Decimal("0.35")) for double in (-2, 2)]
PMRM21_ROWS = [
    (1 + Decimal(percent) / 100, vol, ONE)
    for percent in (-15, -10, -5, 0, 5, 10, 15)
    for vol in ("up", "none", "down")
]
SCAN24_ROWS = (
    [
        (1 + Decimal(percent) / 100, vol, ONE)
        for percent in (-12, -8, -4, 0, 4, 8, 12)
        for vol in ("up", "down")
    ]
    + [(1 + Decimal(percent) / 100, "up", ONE) for percent in (-16, 16)]
    + [(1 + Decimal(shock), "up", Decimal(weight)) for shock, weight in EIGHT_TAILS.items()]
)
PRESETS = {
    "span16": (SPAN16_ROWS, PMRM21),
    "pmrm21": (PMRM21_ROWS, PMRM21),
    "scan24": (SCAN24_ROWS, SCAN24),
}


def price_expiry(expiry, factor, vol_factor):
    """mtm_e(s, v) of the rules: Σ a·B76(var·s + fix, K, vol·v, T)."""
    forward = expiry["var"] * factor + expiry["fix"]
    years = expiry["seconds"] / YEAR
    return sum(
        (
            amount * black76(forward, strike, vol * vol_factor, years, kind)
            for strike, kind, amount, vol in expiry["options"]
        ),
        ZERO,
    )


def list_deltas(holding):
    """The delta of each instrument to its forward, of which the settled part does not move."""
    deltas = [holding["perp"], holding["base"]]
    for e in holding["expiries"]:
        forward, years = e["var"] + e["fix"], e["seconds"] / YEAR
        deltas.append(e.get("future", ZERO) * e["var"] / forward)
        for strike, kind, amount, vol in e["options"]:
            sign = 1 if kind == "call" else -1
            if years == 0:
                slope = ONE if sign * (forward - strike) > 0 else ZERO
            else:
                w = vol * years.sqrt()
                slope = distribution(sign * ((forward / strike).ln() / w + w / 2))
            deltas.append(amount * sign * slope * e["var"] / forward)
    return deltas


def portfolio_margin(holding, rows, p):
    """(IM, MM, total mtm, min_span, worst profits) of the scenario rule; holding and p are plain
    dictionaries of decimals, rows are (factor, "up" | "none" | "down", weight). A future counts as
    a perpetual at its forward whose settled part does not move, and in its expiry's basis."""
    spot = holding["spot"]
    base_value = holding["base"] * spot / holding["stable"]
    marks, basis, static = [], ZERO, ZERO
    prepared = []
    for e in holding["expiries"]:
        years = e["seconds"] / YEAR
        month = Decimal(30 * 86_400)
        tau = month / max(e["seconds"], p["dte_floor"])
        m = tau ** (p["short_pow"] if e["seconds"] <= month else p["long_pow"])
        factors = {
            "up": 1 + p["vol_up"] * m,
            "none": ONE,
            "down": max(ZERO, 1 - p["vol_down"] * m),
        }
        rate = max(ZERO, e["rate"]) * p["rate_mult"] + p["rate_add"] + e["latency"]
        prepared.append((e, factors, p["base_discount"] * (-years * rate).exp()))
        mark = price_expiry(e, ONE, ONE)
        marks.append(mark)
        future = e.get("future", ZERO)
        moves = [
            price_expiry(e, p[side], ONE) - mark + future * e["var"] * (p[side] - 1)
            for side in ("basis_up", "basis_down")
        ]
        basis += min(*moves, ZERO) * (p["basis_add"] + p["basis_mult"] * years)
        strikes = {strike for strike, *_ in e["options"]}
        for k in strikes:
            sides = [
                sum((a for s, kind, a, _ in e["options"] if s == k and kind == side), ZERO)
                for side in ("call", "put")
            ]
            if sides[0] * sides[1] < 0:
                sides = [sum(sides)]
            static += sum(-a for a in sides if a < 0) * p["opt_pct"] * spot
        static += abs(future) * p["perp_pct"] * spot
    static += (abs(holding["perp"]) * p["perp_pct"] + holding["base"] * p["base_pct"]) * spot
    profits = []
    for s, direction, weight in rows:
        profit = base_value * (s - 1) + holding["perp"] * holding["perp_price"] * (s - 1)
        for (e, factors, discount), mark in zip(prepared, marks, strict=True):
            value = price_expiry(e, s, factors[direction])
            profit += (value * discount if value > 0 else value) - mark
            profit += e.get("future", ZERO) * e["var"] * (s - 1)
        profits.append(profit * weight)
    deltas = list_deltas(holding)
    net, gross = abs(sum(deltas)), sum(map(abs, deltas))
    floor = (p["net_delta_pct"] * net + p["hedged_delta_pct"] * (gross - net)) * spot
    min_span = min(basis, *profits, -floor) - static
    total = base_value + holding["perp_pnl"] + sum(marks, ZERO)
    first = min(holding["spot_conf"], holding["perp_conf"] if holding["perp"] else ONE)
    legs = [(first, abs(holding["perp"]) + holding["base"])]
    legs += [
        (
            min(first, *e["confs"]),
            sum((abs(a) for _, _, a, _ in e["options"]), abs(e.get("future", ZERO))),
        )
        for e in holding["expiries"]
    ]
    charge = sum(
        ((1 - c) * p["conf_margin"] * n * spot for c, n in legs if c < p["conf_threshold"]), ZERO
    )
    im = p["im_factor"] + max(ZERO, p["peg_threshold"] - holding["stable"]) * p["peg_factor"]
    cash = holding["cash"]
    initial = min_span * im - charge + total + cash
    return initial, min_span * p["mm_factor"] + total + cash, total, min_span, profits


def standard_expiry(e, spot, p, *, initial):
    """max(Σ legs, max loss) of one expiry."""
    forward, years = e["var"] + e["fix"], e["seconds"] / YEAR
    legs = ZERO
    for strike, kind, a, vol in e["options"]:
        if a >= 0:
            continue
        mtm = a * black76(forward, strike, vol, years, kind)
        out = max(ZERO, (strike - spot if kind == "call" else spot - strike) / spot)
        mult = max(p["floor"], p["base"] - out) * spot
        if kind == "call":
            legs += mult * a + mtm if initial else p["mm_call"] * spot * a + mtm
        else:
            mm = min(p["mm_put"] * spot * a, p["mm_put_mtm"] * mtm) + mtm
            legs += min(mult * a + mtm, mm * p["put_scale"]) if initial else mm

    def payoff(level):
        return sum(
            a * max(ZERO, level - k if kind == "call" else k - level)
            for k, kind, a, _ in e["options"]
        )

    loss = min(ZERO, payoff(ZERO), *(payoff(k) for k, *_ in e["options"]), ZERO)
    calls = sum((a for _, kind, a, _ in e["options"] if kind == "call"), ZERO)
    if calls < 0:
        loss += p["unpaired_im" if initial else "unpaired_mm"] * forward * calls
    return max(legs, loss)


def standard_charges(holding, p):
    """Depeg and confidence charges of initial margin, positive."""
    spot, perp = holding["spot"], abs(holding["perp"])
    exposed = [
        (
            min(holding["spot_conf"], e["confs"][0], e["confs"][2]),
            sum((-a for *_, a, _ in e["options"] if a < 0), abs(e.get("future", ZERO))),
        )
        for e in holding["expiries"]
    ]
    exposed.append((min(holding["spot_conf"], holding["perp_conf"]), perp))
    gap = max(ZERO, p["peg_threshold"] - holding["stable"])
    total = gap * p["peg_factor"] * spot * sum(n for _, n in exposed)
    for c, n in (*exposed, (holding["spot_conf"], holding["base"])):
        if c < p["conf_threshold"]:
            total += (1 - c) * p["conf_factor"] * spot * n
    return total


def standard_margin(holding, p):
    """(IM, MM) of the rule-based margin of one underlying; dictionaries as above. A future is
    rated as a perpetual at its forward, and charged as one with its expiry's confidence."""
    spot, totals = holding["spot"], []
    notional = abs(holding["perp"]) * holding["perp_price"]
    notional += sum(abs(e.get("future", ZERO)) * (e["var"] + e["fix"]) for e in holding["expiries"])
    for initial in (True, False):
        total = holding["cash"] + holding["perp_pnl"] + holding["base"] * spot * p["base_factor"]
        total -= notional * p["perp_im" if initial else "perp_mm"]
        total += sum(standard_expiry(e, spot, p, initial=initial) for e in holding["expiries"])
        totals.append(total - standard_charges(holding, p) if initial else total)
    return tuple(totals)
