"""Random and hand-made portfolios, as the code takes them and as the reference takes them."""

from dataclasses import fields
from decimal import Decimal

from hypothesis import strategies as st

from chain.risk.portfolio import ExpiryPosition, OptionPosition, Portfolio
from chain.units import PPM, WAD, YEAR_S


def dec(value: int) -> Decimal:
    return Decimal(value) / 10**18


def wad(text: str | int) -> int:
    return int(Decimal(text) * 10**18)


amounts = st.integers(-100 * WAD, 100 * WAD)
confidences = st.one_of(st.just(WAD), st.integers(0, WAD))


@st.composite
def build_expiry(draw, spot: int, seconds: int) -> ExpiryPosition:
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from((50, 80, 95, 100, 105, 130, 200)), st.booleans()),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    options = tuple(
        OptionPosition(
            spot * percent // 100,
            is_call,
            draw(amounts),
            draw(st.integers(WAD // 20, 3 * WAD)),
        )
        for percent, is_call in keys
    )
    share = draw(st.sampled_from((100, 100, 60, 1)))
    forward = spot * draw(st.integers(97, 105)) // 100
    return ExpiryPosition(
        seconds,
        forward * share // 100,
        draw(st.integers(-WAD // 20, WAD // 5)),
        options,
        forward - forward * share // 100,
        draw(confidences),
        draw(confidences),
        draw(confidences),
        draw(st.sampled_from((0, wad("0.012822")))),
    )


@st.composite
def portfolios(draw) -> Portfolio:
    spot = draw(st.integers(WAD // 100, 100_000 * WAD))
    seconds = draw(
        st.lists(
            st.one_of(st.just(0), st.just(30 * 86_400), st.integers(60, 2 * YEAR_S)),
            max_size=2,
            unique=True,
        )
    )
    return Portfolio(
        spot_wad=spot,
        cash_wad=draw(st.integers(-(10**6) * WAD, 10**6 * WAD)),
        base_wad=draw(st.one_of(st.just(0), st.integers(0, 100 * WAD))),
        perp_wad=draw(st.one_of(st.just(0), amounts)),
        perp_price_wad=spot * draw(st.integers(98, 102)) // 100,
        perp_profit_wad=draw(st.integers(-(10**5) * WAD, 10**5 * WAD)),
        stable_wad=draw(st.sampled_from((WAD, wad("0.99"), wad("0.95"), wad("1.02")))),
        spot_confidence_wad=draw(confidences),
        perp_confidence_wad=draw(confidences),
        expiries=tuple(draw(build_expiry(spot, second)) for second in seconds),
    )


def to_reference(portfolio: Portfolio) -> dict:
    return {
        "spot": dec(portfolio.spot_wad),
        "cash": dec(portfolio.cash_wad),
        "base": dec(portfolio.base_wad),
        "perp": dec(portfolio.perp_wad),
        "perp_price": dec(portfolio.perp_price_wad),
        "perp_pnl": dec(portfolio.perp_profit_wad),
        "stable": dec(portfolio.stable_wad),
        "spot_conf": dec(portfolio.spot_confidence_wad),
        "perp_conf": dec(portfolio.perp_confidence_wad),
        "expiries": [
            {
                "seconds": Decimal(expiry.expiry_s),
                "var": dec(expiry.forward_variable_wad),
                "fix": dec(expiry.forward_fixed_wad),
                "rate": dec(expiry.rate_wad),
                "latency": dec(expiry.latency_wad),
                "future": dec(expiry.future_wad),
                "confs": (
                    dec(expiry.forward_confidence_wad),
                    dec(expiry.rate_confidence_wad),
                    dec(expiry.volatility_confidence_wad),
                ),
                "options": [
                    (
                        dec(option.strike_wad),
                        "call" if option.is_call else "put",
                        dec(option.amount_wad),
                        dec(option.volatility_wad),
                    )
                    for option in expiry.options
                ],
            }
            for expiry in portfolio.expiries
        ],
    }


def parameters_to_reference(parameters) -> dict:
    return {
        field.name.removesuffix("_wad").removesuffix("_s"): (
            dec(getattr(parameters, field.name))
            if field.name.endswith("_wad")
            else Decimal(getattr(parameters, field.name))
        )
        for field in fields(parameters)
    }


def rows_to_reference(scenarios) -> list:
    return [
        (dec(row.spot_wad), row.volatility.value, Decimal(row.weight_ppm) / PPM)
        for row in scenarios
    ]
