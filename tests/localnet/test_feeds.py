"""The feed player: bars in time, stamps, faults on purpose, and what it is told."""

import json

import pytest

from chain.node.feed import parse_feed
from localnet.feeds.black_thursday import BINANCE_ETH_USDT, GEMINI_ETH_USD
from localnet.feeds.control import FeedControl
from localnet.feeds.player import ABSURD_FACTOR, LAG_NS, compute_bar, make_document, write_feeds

START_NS = 1_700_000_000_000_000_000
PLAY = FeedControl(script="black-thursday", started_at_ns=START_NS, bar_ms=5_000)
MS = 10**6


def eth(document):
    return {p["source"]: p["price"] for p in document["prices"] if p["asset"] == "ETH"}


def test_both_venues_have_the_48_closes_of_two_days():
    assert len(BINANCE_ETH_USDT) == len(GEMINI_ETH_USD) == 48


@pytest.mark.parametrize(
    ("elapsed_ms", "bar"),
    [(-1, 0), (0, 0), (4_999, 0), (5_000, 1), (52_500, 10), (235_000, 47), (10**9, 47)],
)
def test_a_bar_lasts_its_length(elapsed_ms, bar):
    assert compute_bar(PLAY, START_NS + elapsed_ms * MS) == bar


def test_the_constant_script_stays_at_the_first_close():
    assert compute_bar(FeedControl(), START_NS) == 0
    assert eth(make_document(FeedControl(), START_NS)) == {"binance": "193.31", "gemini": "193.37"}


def test_the_frozen_venue_is_played_as_it_was():
    document = make_document(PLAY, START_NS + 28 * 5_000 * MS)
    assert eth(document) == {"binance": "109.70", "gemini": "135.47"}


def test_a_node_reads_every_entry_with_its_stamp():
    now_ns = START_NS + 60_000 * MS
    prices, dropped = parse_feed(json.dumps(make_document(PLAY, now_ns)).encode())
    assert dropped == 0
    assert {(p.asset, p.source) for p in prices} == {
        (asset, source) for asset in ("ETH", "USDC") for source in ("binance", "gemini")
    }
    assert {p.time_ns for p in prices} == {now_ns}


def test_faults_spoil_one_validator_alone(tmp_path):
    control = FeedControl(faults={"a": "absurd", "b": "lagging", "c": "dead"})
    targets = {name: tmp_path / f"{name}.json" for name in "abcd"}
    write_feeds(control, targets, START_NS)
    said = {name: json.loads(targets[name].read_text())["prices"][0] for name in "abd"}
    assert float(said["a"]["price"]) == pytest.approx(193.31 * ABSURD_FACTOR)
    assert said["b"]["time_ns"] == START_NS - LAG_NS
    assert said["d"] == {
        "asset": "ETH", "source": "binance", "price": "193.31", "time_ns": START_NS,
    }  # fmt: skip
    assert not targets["c"].exists()


def test_a_control_file_is_read_back_as_written(tmp_path):
    path = tmp_path / "control.json"
    assert FeedControl.read(path) == FeedControl()
    control = FeedControl("black-thursday", 7, 2_000, {"hub-1-v3": "dead"})
    control.write(path)
    assert FeedControl.read(path) == control


@pytest.mark.parametrize(
    "text",
    [
        '{"script": "white-friday"}',
        '{"bar_ms": 0}',
        '{"bar_ms": "fast"}',
        '{"faults": {"hub-1-v0": "sleepy"}}',
        '{"speed": 2}',
        "not JSON",
    ],
)
def test_a_control_that_says_something_else_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        FeedControl.parse(text)
