"""The JSON documents of the risk calculator: portfolios and scenario sets, read strictly.

Every figure is a plain decimal of at most 18 places, as a JSON text or number. Unknown and repeated
fields, exponents, NaN and infinities are refused with the field named. Both documents are
described in `docs/specs/risk_calculator.md`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from chain.client.json_text import is_deeper
from chain.errors import ChainError
from chain.risk.portfolio import ExpiryPosition, OptionPosition, Portfolio
from chain.risk.scenarios import Scenario, ScenarioSet, VolatilityShock
from chain.units import PPM, WAD

DOCUMENT_SIZE_MAX: Final = 1 << 20
DOCUMENT_DEPTH_MAX: Final = 8
DAY_S: Final = 86_400
T = TypeVar("T")
_DECIMAL: Final = re.compile(r"(-?)(0|[1-9][0-9]{0,59})(?:\.([0-9]{1,18}))?")


class InvalidDocument(ChainError):
    """A calculator document that is not as documented."""

    codespace = "calculator"
    code = 2
    summary = "invalid document"


@dataclass(frozen=True, slots=True)
class _Number:
    """A JSON number as it was written."""

    text: str


def parse_decimal_wad(text: str, field: str) -> int:
    """A plain decimal at 1e18; raises InvalidDocument naming the field."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise InvalidDocument(
            f"{field}: {text[:80]!r} must be a plain decimal with at most 18 places, such as "
            '"-1.25"; no exponent, sign + or NaN'
        )
    sign, whole, fraction = match.groups()
    value = int(whole) * WAD + int((fraction or "").ljust(18, "0"))
    return -value if sign else value


def format_wad(value: int) -> str:
    """A WAD figure as a plain decimal without trailing zeros."""
    whole, fraction = divmod(abs(value), WAD)
    text = f"{whole}.{fraction:018d}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


def read_document(path: Path) -> Any:
    """The JSON value of a file, of which no more than the bound is read. Raises InvalidDocument."""
    with path.open("rb") as file:
        data = file.read(DOCUMENT_SIZE_MAX + 1)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidDocument(f"{path.name}: no UTF-8 text at byte {error.start}") from error
    return load_document(text, path.name)


def load_document(text: str, name: str) -> Any:
    """The JSON value of a text; numbers stay as written. Raises InvalidDocument."""
    if len(text) > DOCUMENT_SIZE_MAX:
        raise InvalidDocument(f"{name}: larger than {DOCUMENT_SIZE_MAX} characters")
    if is_deeper(text, DOCUMENT_DEPTH_MAX):
        raise InvalidDocument(f"{name}: nests deeper than {DOCUMENT_DEPTH_MAX} levels")

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for key, value in pairs:
            if key in document:
                raise InvalidDocument(f"{name}: field {key!r} stands twice in one object")
            document[key] = value
        return document

    try:
        return json.loads(
            text,
            object_pairs_hook=collect,
            parse_float=_Number,
            parse_int=_Number,
            parse_constant=_Number,
        )
    except json.JSONDecodeError as error:
        raise InvalidDocument(f"{name}: no JSON: {error}") from error


class _Fields:
    """One JSON object under a path, whose fields are taken one by one until none is left."""

    def __init__(self, document: Any, path: str) -> None:
        if not isinstance(document, Mapping):
            raise InvalidDocument(f"{path or 'document'}: must be an object")
        self._left = dict(document)
        self._path = path

    def name(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def has(self, key: str) -> bool:
        return key in self._left

    def take_decimal(self, key: str, default: int | None = None) -> int:
        value = self._take(key, is_needed=default is None)
        if value is None:
            assert default is not None
            return default
        if isinstance(value, _Number):
            value = value.text
        if not isinstance(value, str):
            raise InvalidDocument(f"{self.name(key)}: must be a decimal")
        return parse_decimal_wad(value, self.name(key))

    def take_text(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self._take(key, is_needed=True)
        if value not in allowed:
            raise InvalidDocument(f"{self.name(key)}: must be one of {', '.join(allowed)}")
        return str(value)

    def take_list(self, key: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
        value = self._take(key, is_needed=False)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise InvalidDocument(f"{self.name(key)}: must be a list")
        return tuple(read(item, f"{self.name(key)}[{i}]") for i, item in enumerate(value))

    def take_object(self, key: str) -> "_Fields | None":
        value = self._take(key, is_needed=False)
        return None if value is None else _Fields(value, self.name(key))

    def end(self) -> None:
        if self._left:
            # A name may hold half a surrogate pair, which cannot be printed.
            unknown = min(self._left)[:80].encode(errors="backslashreplace").decode()
            raise InvalidDocument(f"{self.name(unknown)}: unknown field")

    def _take(self, key: str, *, is_needed: bool) -> Any:
        if key not in self._left:
            if is_needed:
                raise InvalidDocument(f"{self.name(key)}: missing")
            return None
        value = self._left.pop(key)
        if value is None:
            raise InvalidDocument(f"{self.name(key)}: null; leave the field out instead")
        return value


def read_portfolio(document: Any, path: str = "") -> Portfolio:
    """A portfolio of one underlying from its JSON value; bounds are the engine's to check."""
    fields = _Fields(document, path)
    if fields.has("underlyings"):
        raise InvalidDocument(
            f"{fields.name('underlyings')}: a scenario set margins one underlying at a time; give "
            "each a document of its own, or use --preset standard"
        )
    spot = fields.take_decimal("spot")
    perp = fields.take_object("perp")
    portfolio = Portfolio(
        spot_wad=spot,
        cash_wad=fields.take_decimal("cash", 0),
        base_wad=fields.take_decimal("base", 0),
        perp_wad=perp.take_decimal("amount") if perp else 0,
        perp_price_wad=perp.take_decimal("price", spot) if perp else spot,
        perp_profit_wad=perp.take_decimal("pnl", 0) if perp else 0,
        stable_wad=fields.take_decimal("stable_price", WAD),
        spot_confidence_wad=fields.take_decimal("spot_confidence", WAD),
        perp_confidence_wad=perp.take_decimal("confidence", WAD) if perp else WAD,
        expiries=fields.take_list("expiries", _read_expiry),
    )
    if perp:
        perp.end()
    fields.end()
    return portfolio


def read_portfolios(document: Any) -> tuple[Portfolio, ...]:
    """One portfolio, or the list under `underlyings` of an account that holds several.

    Beside `underlyings` stand `cash` and `stable_price`, which belong to the account.
    """
    if not (isinstance(document, Mapping) and "underlyings" in document):
        return (read_portfolio(document),)
    fields = _Fields(document, "")
    cash = fields.take_decimal("cash", 0)
    stable = fields.take_decimal("stable_price", WAD)

    def read(item: Any, path: str) -> Portfolio:
        for key in ("cash", "stable_price"):
            if isinstance(item, Mapping) and key in item:
                raise InvalidDocument(f"{path}.{key}: belongs beside `underlyings`")
        shared = {"stable_price": format_wad(stable)}
        return read_portfolio({**item, **shared} if isinstance(item, Mapping) else item, path)

    portfolios = fields.take_list("underlyings", read)
    fields.end()
    if not portfolios:
        raise InvalidDocument("underlyings: empty")
    first, *rest = portfolios
    return (replace(first, cash_wad=cash), *rest)


def _read_expiry(document: Any, path: str) -> ExpiryPosition:
    fields = _Fields(document, path)
    if fields.has("days") and fields.has("seconds"):
        raise InvalidDocument(f"{path}.days: give days or seconds, not both")
    if fields.has("days"):
        seconds_wad = fields.take_decimal("days") * DAY_S
        key = "days"
    else:
        seconds_wad = fields.take_decimal("seconds")
        key = "seconds"
    if seconds_wad % WAD:
        raise InvalidDocument(f"{path}.{key}: must be whole seconds")
    expiry = ExpiryPosition(
        expiry_s=seconds_wad // WAD,
        forward_variable_wad=fields.take_decimal("forward_variable"),
        forward_fixed_wad=fields.take_decimal("forward_fixed", 0),
        rate_wad=fields.take_decimal("rate", 0),
        forward_confidence_wad=fields.take_decimal("forward_confidence", WAD),
        rate_confidence_wad=fields.take_decimal("rate_confidence", WAD),
        volatility_confidence_wad=fields.take_decimal("vol_confidence", WAD),
        latency_wad=fields.take_decimal("latency", 0),
        future_wad=fields.take_decimal("future", 0),
        options=fields.take_list("options", _read_option),
    )
    fields.end()
    return expiry


def _read_option(document: Any, path: str) -> OptionPosition:
    fields = _Fields(document, path)
    option = OptionPosition(
        strike_wad=fields.take_decimal("strike"),
        is_call=fields.take_text("kind", ("call", "put")) == "call",
        amount_wad=fields.take_decimal("amount"),
        volatility_wad=fields.take_decimal("vol"),
    )
    fields.end()
    return option


def read_scenarios(document: Any, base: ScenarioSet) -> ScenarioSet:
    """A custom set of rows from its JSON value, with the parameters of a base set."""
    fields = _Fields(document, "")

    def read(item: Any, path: str) -> Scenario:
        row = _Fields(item, path)
        spot = WAD + row.take_decimal("spot_shock")
        shock = row.take_text("vol", tuple(kind.value for kind in VolatilityShock))
        weight = row.take_decimal("weight", WAD) * PPM
        if weight % WAD:
            raise InvalidDocument(f"{path}.weight: has more than 6 decimal places")
        row.end()
        return Scenario(spot, VolatilityShock(shock), weight // WAD)

    rows = fields.take_list("scenarios", read)
    fields.end()
    return ScenarioSet("custom", rows, base.parameters)
