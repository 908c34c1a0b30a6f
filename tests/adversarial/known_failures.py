"""Failures that other chains had, by the number of their row, and the tests that aim them at us.

A row's first test is the explicit one: it plays the failure and states the expected outcome. The
others hold the same rule from another side. tests/structure checks that none of them is lost.
"""

from dataclasses import dataclass
from typing import Final

_HERE: Final = "tests/adversarial/test_known_failures.py"
_PEER: Final = "tests/adversarial/test_hostile_peer.py"
_PACKETS: Final = "tests/twochain/test_packets.py"
_CLIENTS: Final = "tests/twochain/test_clients.py"
_VERIFIER: Final = "tests/lightclient/test_verifier.py"
_TRANSACTIONS: Final = "tests/runtime/test_transactions.py"
_BYTES: Final = "tests/twochain/test_hostile_bytes.py"
_TRANSFER: Final = "tests/twochain/test_transfer.py"
_VALIDATORS: Final = "tests/modules/validators/test_validators.py"
_ICS23: Final = "tests/merkle/test_ics23.py"


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """What went wrong elsewhere, what must happen here, and the tests (file::name) that say so."""

    failure: str
    expected: str
    tests: tuple[str, ...]


KNOWN_FAILURES: Final = {
    1: KnownFailure(
        "forged absence makes a false timeout (Dragonberry)",
        "refused; the escrow is unchanged",
        (
            f"{_HERE}::test_forged_absence_refunds_nothing",
            f"{_PACKETS}::test_presence_offered_as_absence_is_refused",
            f"{_ICS23}::test_a_proof_without_one_neighbour_needs_the_edge",
            f"{_ICS23}::test_neighbours_must_be_adjacent",
            f"{_ICS23}::test_an_absence_beyond_an_edge_needs_the_edge_key",
        ),
    ),
    2: KnownFailure(
        "a proof with an ignored field forges a withdrawal (BNB bridge)",
        "refused: a proof is its own canonical encoding, without anything unknown",
        (
            f"{_HERE}::test_proof_with_anything_added_is_refused",
            f"{_ICS23}::test_bytes_that_are_not_one_canonical_proof_are_refused",
            f"{_PACKETS}::test_forged_proof_is_refused",
        ),
    ),
    3: KnownFailure(
        "proof specs whose prefixes overlap misplace a child; odd specs panic",
        "no client is created; no exception escapes",
        (
            f"{_HERE}::test_client_with_overlapping_prefixes_is_not_created",
            f"{_HERE}::test_any_proof_spec_is_judged_without_another_exception",
            f"{_ICS23}::test_an_ambiguous_spec_is_refused",
            f"{_CLIENTS}::test_unsafe_client_is_not_created",
        ),
    ),
    4: KnownFailure(
        "a timeout re-entered from its own callback pays twice (ASA-2024-007)",
        "the commitment is gone before the callback: the second is a no-op",
        (
            f"{_HERE}::test_timeout_twice_in_one_transaction_refunds_once",
            f"{_PACKETS}::test_timeout_from_inside_a_timeout_is_a_noop",
            f"{_PACKETS}::test_acknowledgement_from_inside_itself_is_a_noop",
            f"{_PACKETS}::test_receive_from_inside_itself_is_a_noop",
        ),
    ),
    5: KnownFailure(
        "events of a reverted packet stay (Huckleberry)",
        "state and events are gone; only the refusal is told",
        (
            f"{_HERE}::test_events_of_a_refused_deposit_are_gone",
            f"{_TRANSFER}::test_a_refused_transfer_is_refunded_and_its_events_are_gone",
        ),
    ),
    6: KnownFailure(
        "a poisoned account at somebody's address locks deposits (Barberry)",
        "refused; deposit and withdrawal still work",
        (
            f"{_HERE}::test_nobody_poisons_another_ones_account",
            "tests/adversarial/test_bad_messages.py::test_somebody_elses_everything",
        ),
    ),
    7: KnownFailure(
        "a wrapper carries a message past its checks (Elderflower)",
        "the same rejection as unwrapped",
        (
            f"{_HERE}::test_wrapped_messages_meet_the_same_refusal",
            "tests/modules/council/test_council.py::test_wrapped_messages_meet_the_same_refusals",
        ),
    ),
    8: KnownFailure(
        "acknowledgement JSON that nodes read differently halts a chain (ASA-2025-004)",
        "only byte-identical re-encodings; the same verdict in every process",
        (
            f"{_HERE}::test_processes_agree_on_every_answer",
            f"{_PEER}::test_an_answer_of_another_form_settles_nothing",
            "tests/adversarial/test_histories.py::test_four_processes_agree",
        ),
    ),
    9: KnownFailure(
        "raw error text in an acknowledgement differs between nodes",
        "the acknowledgement holds a code and a fixed text",
        (
            f"{_HERE}::test_acknowledgements_hold_nothing_of_an_error_but_its_code",
            "tests/ibc/apps/test_margin.py::test_a_refusal_is_code_and_codespace_alone",
        ),
    ),
    10: KnownFailure(
        "block time derived from what no verified signature covers (Tachyon)",
        "CometBFT is past the fix; altered addresses and times are refused; time jumps are borne",
        (
            f"{_HERE}::test_altered_votes_are_refused",
            f"{_HERE}::test_cometbft_is_past_every_fix",
            f"{_HERE}::test_liquidations_bear_a_jump_of_time",
            f"{_VERIFIER}::test_vote_time_changed_after_signing_is_refused",
        ),
    ),
    11: KnownFailure(
        "votes are counted under somebody else's address (ISA-2025-003)",
        "invalid",
        (f"{_HERE}::test_altered_votes_are_refused", f"{_VERIFIER}::TestAttribution"),
    ),
    12: KnownFailure(
        "a negative voting power wraps: headers without signatures are accepted",
        "refused before anything is hashed",
        (
            f"{_HERE}::test_power_out_of_bounds_is_refused_by_the_client",
            f"{_VERIFIER}::test_power_out_of_bounds_is_refused_before_hashing",
        ),
    ),
    13: KnownFailure(
        "proposer priorities are not hashed: a lying peer splits a synced node (ASA-2024-009)",
        "nothing follows from priorities; CometBFT is past the fix; bad snapshots are rejected",
        (
            f"{_HERE}::test_proposer_priorities_of_a_header_decide_nothing",
            f"{_HERE}::test_cometbft_is_past_every_fix",
            "tests/adversarial/test_fuzz.py::test_snapshots_of_hostile_peers",
        ),
    ),
    14: KnownFailure(
        "bogus signatures inside evidence slash innocents",
        "only verified signers are blamed; evidence with bogus signatures freezes nothing",
        (
            f"{_HERE}::test_evidence_with_bogus_signatures_blames_nobody",
            f"{_HERE}::test_cometbft_is_past_every_fix",
            f"{_VALIDATORS}::test_evidence_is_recorded_once_and_bars_the_key",
        ),
    ),
    15: KnownFailure(
        "a third of the power equivocates and fools skipping verification",
        "the two headers are misbehaviour: the client is frozen",
        (
            f"{_HERE}::test_a_third_that_equivocates_freezes_the_client",
            f"{_CLIENTS}::test_equivocation_freezes",
            f"{_CLIENTS}::test_second_header_of_a_height_freezes",
        ),
    ),
    16: KnownFailure(
        "cheap checks last: a commit of 10,000 signatures costs seconds",
        "refused in 100 ms, before a signature is verified",
        (
            f"{_BYTES}::test_header_with_ten_thousand_signatures_is_refused_fast",
            f"{_VERIFIER}::TestCost",
        ),
    ),
    20: KnownFailure(
        "nested Any exhausts the stack or the node (ASA-2024-0012, -0013)",
        "refused in 50 ms without RecursionError; CheckTx lives",
        (
            f"{_HERE}::test_deep_and_many_anys_are_refused_at_once",
            f"{_TRANSACTIONS}::test_deep_nesting_and_many_anys_are_refused_quickly",
            f"{_TRANSACTIONS}::test_any_in_any_is_bounded",
        ),
    ),
    21: KnownFailure(
        "one transaction with several hashes is replayed",
        "one form executes, once; every other is refused",
        (
            f"{_HERE}::test_one_transaction_has_one_form",
            f"{_TRANSACTIONS}::test_other_encodings_are_refused",
            f"{_TRANSACTIONS}::test_replay_is_refused",
        ),
    ),
    28: KnownFailure(
        "memos of hundreds of kilobytes choke peers and relayers",
        "32,768 bytes of memo and 2,048 of receiver pass; one more is refused on both sides",
        (
            f"{_HERE}::test_memo_and_receiver_have_bounds_on_both_sides",
            "tests/ibc/apps/transfer/test_packet_data.py::test_limits_are_inclusive",
        ),
    ),
    29: KnownFailure(
        "overflowing timeouts; a timeout blocked by bad data",
        "a refund is always possible; no exception",
        (
            f"{_HERE}::test_timeouts_at_the_ends_of_their_range",
            f"{_HERE}::test_whatever_could_be_sent_can_be_refunded",
        ),
    ),
    30: KnownFailure(
        "receipt at the timeout; an ordered channel that stays open",
        "refused from the timeout on; exactly one of receipt and timeout succeeds",
        (
            f"{_PACKETS}::test_timeout_boundary",
            f"{_PACKETS}::test_ordered_timeout_closes_the_channel",
            "tests/twochain/test_interleavings.py::TestPacketLife",
        ),
    ),
    31: KnownFailure(
        "a hook trusts the memo or the sender of a hostile chain",
        "it acts for the packet's own receiver alone",
        (
            f"{_HERE}::test_memo_and_sender_of_a_stranger_move_nobody_elses_account",
            f"{_PEER}::test_what_is_refused_moves_nothing",
        ),
    ),
}
"""Row → failure. Rows 17 to 19, 22 to 27 and 32 concern nodes, determinism and markets."""
