"""The grammar checker finds each broken rule: a legal log, then one thing broken."""

from copy import deepcopy

import pytest

from tests.support.abci_grammar import check_call_log, check_grammar


def legal_log():
    """Two executions: a clean start of two heights, then a recovery that replays none."""
    entries = [{"call": "start"}]
    clock = iter(range(0, 10_000, 10))

    def add(call, **fields):
        start = next(clock)
        entries.append({"call": call, "start_ns": start, "end_ns": start + 5, **fields})

    def height(number, connection):
        txs = f"t{number}"
        add("prepare_proposal", connection=connection, height=number, txs_hash=txs)
        block = {"connection": connection, "height": number, "hash": f"b{number}"}
        add("process_proposal", **block, txs_hash=txs, status="ACCEPT")
        add("extend_vote", **block)
        add("finalize_block", **block, txs_hash=txs, app_hash=f"a{number}", results_hash="r")
        add("commit", connection=connection)
        add("check_tx", connection=connection + 1, recheck=True)

    add("info", connection=1, height=0, app_hash="")
    add("init_chain", connection=4, app_hash="a0")
    height(1, 4)
    height(2, 4)
    entries.append({"call": "start"})
    add("info", connection=1, height=2, app_hash="a2")
    height(3, 4)
    return entries


def find(entries, call, nth=0):
    return [e for e in entries if e["call"] == call][nth]


def check(entries):
    return " / ".join(check_call_log(entries, vote_extensions_enable_height=1))


def test_the_legal_log_breaks_nothing():
    assert check(legal_log()) == ""


@pytest.mark.parametrize(
    ("call", "nth", "change", "sentence"),
    [
        ("finalize_block", 1, {"height": 3}, "height 3 after a commit of height 1"),
        ("finalize_block", 1, {"height": 1}, "finalize_block of height 1 twice"),
        ("info", 1, {"height": 1}, "the last commit was (2, 'a2')"),
        ("info", 1, {"app_hash": "x"}, "the last commit was (2, 'a2')"),
        ("process_proposal", 1, {"status": "REJECT"}, "own proposal of height 2 answered REJECT"),
        ("process_proposal", 1, {"status": "REJECT", "txs_hash": "x"}, "b2, which was rejected"),
        ("extend_vote", 0, {"height": 0}, "extend_vote at height 0"),
        ("check_tx", 0, {"start_ns": 0, "end_ns": 10_000}, "served during a commit"),
        ("info", 0, {"call": "query"}, "begins with query, not info"),
        ("init_chain", 0, {"call": "echo"}, "is not a clean start"),
        ("commit", 0, {"call": "echo"}, "is not a clean start"),
    ],
)
def test_one_broken_rule_is_named(call, nth, change, sentence):
    entries = legal_log()
    find(entries, call, nth).update(change)
    assert sentence in check(entries)


def test_a_recheck_before_a_commit():
    entries = legal_log()
    position = entries.index(find(entries, "init_chain"))
    entries.insert(position, {**find(entries, "check_tx"), "start_ns": 1, "end_ns": 2})
    assert "a recheck before any commit" in check(entries)


def test_init_chain_after_a_commit():
    entries = legal_log()
    entries.insert(entries.index(find(entries, "info", 1)) + 1, find(entries, "init_chain"))
    assert "init_chain after height 2" in check(entries)


def test_a_replay_is_legal_and_must_give_the_same():
    entries = legal_log()
    last = entries.index(find(entries, "commit", 1))
    cut = entries[:last]  # Killed between finalize_block and commit of height 2.
    again = deepcopy(find(entries, "finalize_block", 1))
    recovery = [
        {"call": "start"},
        {**find(entries, "info", 1), "height": 1, "app_hash": "a1"},
        again,
        find(entries, "commit", 1),
    ]
    assert check(cut + recovery) == ""
    again["results_hash"] = "other"
    assert "a replay of height 2 gave another" in check(cut + recovery)


def test_a_durable_commit_whose_record_was_lost_is_legal():
    entries = legal_log()
    entries.remove(find(entries, "commit", 1))
    entries.remove(find(entries, "check_tx", 1))
    assert check(entries) == ""


def test_names_alone():
    assert check_grammar([], is_clean_start=True) == "no call at all"
    assert check_grammar(["init_chain"], is_clean_start=True) is None
    assert check_grammar(["finalize_block", "commit"], is_clean_start=True)
    assert check_grammar(["finalize_block", "commit"], is_clean_start=False) is None
