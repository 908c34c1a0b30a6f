"""How results print for people: tables of records, names and values of the rest."""

import pytest

from chain.cli.session import print_table

NARROW = [{"market": "ETH-USD", "mark": "2000"}, {"market": "BTC-USD", "mark": "50000"}]
WIDE = [{f"c{index}": str(index) for index in range(11)}]


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def read_lines(capsys, document):
    print_table(document)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_one_list_is_a_table_above_the_rest(capsys):
    assert read_lines(capsys, {"marks": NARROW, "height": "7", "next_key": ""}) == [
        ["market", "mark"],
        ["ETH-USD", "2000"],
        ["BTC-USD", "50000"],
        ["height", "7"],
        ["next_key"],
    ]


def test_one_list_without_more_is_a_table_alone(capsys):
    assert read_lines(capsys, {"wide": WIDE, "next_key": ""})[0] == list(WIDE[0])
    assert len(read_lines(capsys, {"wide": WIDE, "next_key": ""})) == 2


def test_several_lists_are_a_table_each_under_their_names(capsys):
    states = [{"market": "ETH-USD", "bid": "1999"}]
    assert read_lines(capsys, {"marks": NARROW, "states": states, "ramps": []}) == [
        [],
        ["marks"],
        ["market", "mark"],
        ["ETH-USD", "2000"],
        ["BTC-USD", "50000"],
        [],
        ["states"],
        ["market", "bid"],
        ["ETH-USD", "1999"],
    ]


def test_among_several_lists_the_wide_and_the_nested_print_as_names_and_values(capsys):
    nested = [{"market": "ETH-USD", "margin": {"initial": "1"}}]
    lines = read_lines(capsys, {"wide": WIDE, "nested": nested, "marks": NARROW})
    assert lines[:2] == [["wide[0].c0", "0"], ["wide[0].c1", "1"]]
    assert ["nested[0].margin.initial", "1"] in lines
    assert lines[-3:] == [["market", "mark"], ["ETH-USD", "2000"], ["BTC-USD", "50000"]]


def test_no_list_prints_as_names_and_values(capsys):
    assert read_lines(capsys, {"a": {"b": "1"}, "c": ["x", "y"]}) == [
        ["a.b", "1"],
        ["c", "x,", "y"],
    ]
    assert read_lines(capsys, NARROW)[0] == ["market", "mark"]
    assert read_lines(capsys, ["x", "y"]) == [["x"], ["y"]]
