"""A validator's own price feed: a JSON file or URL polled in the background, read without waiting.

The document: {"prices": [{"asset": "ETH", "source": "binance", "price": "193.31", "time_ns": 1}]}.
`price` is a decimal text in USD for one whole unit with at most 18 decimals, `time_ns` the moment
the source gave it, ns since 1970. An entry may have `depth_usd` (what can be sold near the price)
and `volume_usd` (a day's), whole numbers of USD. Entries that break this are dropped one by one and
counted in the log.
"""

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx2
import structlog

from chain.client.json_text import load_json
from chain.modules.oracle.params import USD_MAX
from chain.modules.oracle.types import PRICE_LIMIT, SourcePrice

POLL_S: Final = 0.25
DOCUMENT_BYTES_MAX: Final = 1 << 20
ENTRIES_MAX: Final = 1_000
_PRICE = re.compile(r"(0|[1-9][0-9]{0,20})(?:\.([0-9]{1,18}))?")
_NAME = re.compile(r"[A-Za-z0-9._/-]{1,64}")
_DECIMALS = 18


class FeedSource:
    """The latest readable document of a feed; start() polls it until stop().

    A feed that stays silent keeps its last prices, whose times tell their age.
    """

    def __init__(self, source: str, *, timeout_ms: int = 200, poll_s: float = POLL_S) -> None:
        self._source = source
        self._poll_s = poll_s
        self._prices: tuple[SourcePrice, ...] = ()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._log = structlog.get_logger("feed")
        self._last_error = ""
        is_remote = source.startswith(("http://", "https://"))
        self._http = (
            httpx2.Client(timeout=timeout_ms / 1000, trust_env=False) if is_remote else None
        )

    def start(self) -> None:
        """Read the feed once, then go on in the background."""
        self.poll()
        self._thread.start()

    def stop(self) -> None:
        """End the background thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        if self._http is not None:
            self._http.close()

    def read(self) -> Sequence[SourcePrice]:
        """The latest price of each (asset, source), at once."""
        return self._prices

    def poll(self) -> None:
        """Read the feed now; a failure is logged once and keeps the prices."""
        try:
            prices, dropped = parse_feed(self._fetch())
        except (OSError, ValueError, httpx2.HTTPError) as error:
            self._report(f"{type(error).__name__}: {error}")
            return
        self._prices = prices
        self._report(f"{dropped} malformed entries dropped" if dropped else "")

    def _run(self) -> None:
        while not self._stopping.wait(self._poll_s):
            self.poll()

    def _fetch(self) -> bytes:
        if self._http is not None:
            with self._http.stream("GET", self._source) as response:
                response.raise_for_status()
                content = b""
                for part in response.iter_bytes():
                    content += part
                    if len(content) > DOCUMENT_BYTES_MAX:
                        break
        else:
            with Path(self._source).open("rb") as file:
                content = file.read(DOCUMENT_BYTES_MAX + 1)
        if len(content) > DOCUMENT_BYTES_MAX:
            raise ValueError(f"the document is larger than {DOCUMENT_BYTES_MAX} bytes")
        return content

    def _report(self, error: str) -> None:
        """Log a change between working and failing, not every poll."""
        if error != self._last_error:
            self._last_error = error
            if error:
                self._log.warning("price feed is not right", source=self._source, error=error)
            else:
                self._log.info("price feed is readable", source=self._source)


def parse_feed(content: bytes) -> tuple[tuple[SourcePrice, ...], int]:
    """Prices of a feed document and how many entries were dropped; raises ValueError when it is
    not a document of the form the module describes.
    """
    document = load_json(content.decode())
    entries = document.get("prices") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > ENTRIES_MAX:
        raise ValueError(
            f'the document must be {{"prices": […]}} with at most {ENTRIES_MAX} entries'
        )
    prices = [price for entry in entries if (price := _parse_entry(entry)) is not None]
    latest: dict[tuple[str, str], SourcePrice] = {}
    for price in prices:
        key = (price.asset, price.source)
        if key not in latest or price.time_ns >= latest[key].time_ns:
            latest[key] = price
    return tuple(latest.values()), len(entries) - len(prices)


def parse_price_wad(text: str) -> int | None:
    """The WAD of a plain decimal text, exact, or None when it is none, is zero or is too large."""
    match = _PRICE.fullmatch(text)
    if match is None:
        return None
    wad = int(match[1] + (match[2] or "").ljust(_DECIMALS, "0"))
    return wad if 0 < wad < PRICE_LIMIT else None


def _parse_entry(entry: Any) -> SourcePrice | None:
    if not isinstance(entry, dict):
        return None
    asset, source = entry.get("asset"), entry.get("source")
    price, time_ns = entry.get("price"), entry.get("time_ns")
    if not (isinstance(asset, str) and isinstance(source, str) and isinstance(price, str)):
        return None
    if not (_NAME.fullmatch(asset) and _NAME.fullmatch(source)) or type(time_ns) is not int:
        return None
    wad = parse_price_wad(price)
    if wad is None or not 0 < time_ns < 1 << 63:
        return None
    figures = [entry.get(name) for name in ("depth_usd", "volume_usd")]
    if not all(f is None or (type(f) is int and 0 <= f <= USD_MAX) for f in figures):
        return None
    return SourcePrice(asset, source, wad, time_ns, *figures)
