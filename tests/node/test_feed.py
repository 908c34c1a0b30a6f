import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.modules.oracle.types import SourcePrice
from chain.node.feed import DOCUMENT_BYTES_MAX, FeedSource, parse_feed, parse_price_wad

GOOD = {"asset": "ETH", "source": "binance", "price": "193.31", "time_ns": 1_583_974_800 * 10**9}
WAD = 10**18


def write(path, *entries):
    path.write_text(json.dumps({"prices": list(entries)}))


def test_feed_file_is_read_exactly(tmp_path):
    write(tmp_path / "feed.json", GOOD)
    feed = FeedSource(str(tmp_path / "feed.json"))
    feed.poll()
    assert feed.read() == (SourcePrice("ETH", "binance", 19331 * 10**16, 1_583_974_800 * 10**9),)


@pytest.mark.parametrize(
    "change",
    [
        {"asset": ""},
        {"asset": 5},
        {"source": "a b"},
        {"price": 193.31},
        {"price": "-1"},
        {"price": "0"},
        {"price": "1e5"},
        {"price": "1.0000000000000000001"},
        {"price": "9" * 22},
        {"time_ns": "1"},
        {"time_ns": True},
        {"time_ns": 0},
        {"time_ns": 1 << 63},
        {"depth_usd": -1},
        {"depth_usd": "5"},
        {"volume_usd": 10**16},
        {"volume_usd": 1.5},
    ],
)
def test_malformed_entry_is_dropped_alone(change):
    prices, dropped = parse_feed(json.dumps({"prices": [GOOD, {**GOOD, **change}]}).encode())
    assert (len(prices), dropped) == (1, 1)
    assert prices[0].price_wad == 19331 * 10**16


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"prices": 5}', b"\xff", b"[" * 10**5])
def test_document_of_another_form_keeps_the_prices(tmp_path, content):
    path = tmp_path / "feed.json"
    write(path, GOOD)
    feed = FeedSource(str(path))
    feed.poll()
    path.write_bytes(content)
    feed.poll()
    assert len(feed.read()) == 1


def test_oversized_document_and_missing_file_keep_the_prices(tmp_path):
    path = tmp_path / "feed.json"
    write(path, GOOD)
    feed = FeedSource(str(path))
    feed.poll()
    path.write_text(" " * (DOCUMENT_BYTES_MAX + 1))
    feed.poll()
    path.unlink()
    feed.poll()
    assert len(feed.read()) == 1


def test_depth_and_volume_are_read_when_said():
    entry = {**GOOD, "depth_usd": 5_000_000, "volume_usd": 80_000_000}
    prices, dropped = parse_feed(json.dumps({"prices": [entry]}).encode())
    assert dropped == 0
    assert (prices[0].depth_usd, prices[0].volume_usd) == (5_000_000, 80_000_000)


def test_latest_entry_of_a_source_wins():
    older = {**GOOD, "price": "1", "time_ns": GOOD["time_ns"] - 1}
    prices, _ = parse_feed(json.dumps({"prices": [GOOD, older]}).encode())
    assert [p.price_wad for p in prices] == [19331 * 10**16]


def test_background_thread_follows_the_file(tmp_path):
    path = tmp_path / "feed.json"
    write(path, GOOD)
    feed = FeedSource(str(path), poll_s=0.01)
    feed.start()
    try:
        staging = tmp_path / "next"
        write(staging, {**GOOD, "price": "200"})
        staging.replace(path)
        deadline = time.monotonic() + 5
        while feed.read()[0].price_wad != 200 * WAD and time.monotonic() < deadline:
            time.sleep(0.01)
        assert feed.read()[0].price_wad == 200 * WAD
    finally:
        feed.stop()


def test_feed_over_http():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"prices": [GOOD]}).encode())

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    feed = FeedSource(f"http://127.0.0.1:{server.server_port}/", timeout_ms=2000)
    try:
        feed.poll()
        assert len(feed.read()) == 1
    finally:
        feed.stop()
        server.shutdown()
        server.server_close()


@given(st.integers(1, (1 << 128) - 1))
def test_decimal_text_reads_back_exactly(wad):
    whole, fraction = divmod(wad, WAD)
    expected = wad if len(str(whole)) <= 21 else None
    assert parse_price_wad(f"{whole}.{fraction:018d}") == expected
