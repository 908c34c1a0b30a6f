"""What ICS-02, -03, -04 and -20 ask, clause by clause as ibc-go v10 has them, and who tests it.

tests/structure checks that every test named is there. Tests under tests/e2e run against ibc-go.
"""

from typing import Final

_CLIENTS: Final = "tests/twochain/test_clients.py"
_HANDSHAKE: Final = "tests/twochain/test_handshake.py"
_PACKETS: Final = "tests/twochain/test_packets.py"
_UPGRADES: Final = "tests/twochain/test_upgrades.py"
_RECORDED: Final = "tests/twochain/test_recorded_calls.py"
_TRANSFER: Final = "tests/twochain/test_transfer.py"
_ROUTES: Final = "tests/twochain/test_transfer_routes.py"
_VERIFIER: Final = "tests/lightclient/test_verifier.py"
_DATA: Final = "tests/ibc/apps/transfer/test_packet_data.py"
_SENDING: Final = "tests/ibc/apps/transfer/test_handlers.py"
_RECEIVING: Final = "tests/ibc/apps/transfer/test_application.py"
_KNOWN: Final = "tests/adversarial/test_known_failures.py"
_PEER: Final = "tests/adversarial/test_hostile_peer.py"
_LIVE: Final = "tests/e2e/test_ibc_go.py"
_LIVE_COLLATERAL: Final = "tests/e2e/test_ibc_go_collateral.py"
_LIVE_RELAYER: Final = "tests/e2e/test_ibc_go_mrelay.py"

CLAUSES: Final = {
    "ICS-02 creation: parameters, proof specs, first consensus state": (
        f"{_CLIENTS}::test_unsafe_client_is_not_created",
        f"{_CLIENTS}::test_consensus_state_no_header_gives_is_refused",
        f"{_CLIENTS}::test_client_of_an_old_header_is_not_created",
    ),
    "ICS-02 creation is for allowed client types": (
        f"{_CLIENTS}::test_council_chooses_allowed_clients",
    ),
    "ICS-02 update: adjacent, skipping, older heights filled in, repeated": (
        f"{_CLIENTS}::test_update_moves_the_client",
        f"{_CLIENTS}::test_skipping_and_older_headers_fill_gaps",
        f"{_CLIENTS}::test_repeated_header_changes_nothing",
        f"{_LIVE}::test_headers_of_ibc_go_may_be_skipped_and_filled_in",
    ),
    "ICS-02 skipping verification across changes of the validator set": (
        f"{_CLIENTS}::test_validators_rotate_step_by_step",
        f"{_VERIFIER}::test_rotating_chain_verifies_step_by_step_and_needs_bisection_over_all",
    ),
    "ICS-02 update: too little power, strangers, altered headers, the future": (
        f"{_CLIENTS}::test_header_signed_by_too_little_power_is_refused",
        f"{_CLIENTS}::test_header_of_strangers_is_refused",
        f"{_CLIENTS}::test_broken_header_is_refused",
        f"{_CLIENTS}::test_header_from_the_future_is_refused",
    ),
    "ICS-02 expiry: an expired client proves nothing and takes no update": (
        f"{_CLIENTS}::test_expired_client_stops_the_channel",
    ),
    "ICS-02 consensus states: the expired ones are pruned, with their metadata": (
        f"{_CLIENTS}::test_expired_states_are_forgotten_one_an_update",
    ),
    "ICS-02 misbehaviour: two headers of one height": (
        f"{_CLIENTS}::test_equivocation_freezes",
        f"{_CLIENTS}::test_second_header_of_a_height_freezes",
        f"{_CLIENTS}::test_equal_headers_are_no_misbehaviour",
        f"{_CLIENTS}::test_evidence_by_too_little_power_is_refused",
        f"{_LIVE}::test_ibc_go_freezes_its_client_of_a_lying_chain_of_ours",
        f"{_LIVE}::test_we_freeze_our_client_of_a_lying_ibc_go_and_recover_it",
    ),
    "ICS-02 misbehaviour: a higher header that is not later": (
        f"{_CLIENTS}::test_time_that_does_not_grow_freezes",
        f"{_LIVE}::test_ibc_go_freezes_its_client_of_a_lying_chain_of_ours",
        f"{_LIVE}::test_we_freeze_our_client_of_a_lying_ibc_go_and_recover_it",
    ),
    "ICS-02 a frozen client stops its channels": (
        f"{_CLIENTS}::test_frozen_client_stops_the_channel",
    ),
    "ICS-02 recovery by governance with a substitute": (
        f"{_CLIENTS}::test_council_recovers_a_client",
        f"{_CLIENTS}::test_substitute_must_match",
        f"{_CLIENTS}::test_frozen_counterparty_can_still_be_acknowledged_after_recovery",
        f"{_LIVE}::test_we_freeze_our_client_of_a_lying_ibc_go_and_recover_it",
    ),
    "ICS-02 upgrade: a client follows what its chain committed to, and nothing else": (
        f"{_UPGRADES}::test_client_follows_a_committed_upgrade",
        f"{_UPGRADES}::test_upgrade_that_was_not_committed_is_refused",
        f"{_UPGRADES}::test_client_without_an_upgrade_path_stays",
        f"{_UPGRADES}::test_shorter_unbonding_shortens_trust_in_proportion",
    ),
    "ICS-02 upgrade: our own chains commit to none, and say so": (
        "tests/ibc/test_queries.py::test_what_does_not_exist_is_not_found",
    ),
    "ICS-02 revisions of chain ids, ordering of heights": (
        "tests/ibc/test_height.py::test_revision_is_the_number_after_the_last_dash",
        "tests/ibc/test_height.py::test_revision_orders_before_height",
        f"{_CLIENTS}::test_unsafe_client_is_not_created",
    ),
    "ICS-02 refresh: a relayer keeps clients of idle chains alive": (
        f"{_LIVE_RELAYER}::test_a_running_relayer_keeps_both_clients_fresh",
    ),
    "ICS-03 the four steps, either side first": (
        f"{_HANDSHAKE}::test_connection_opens_on_both_ends",
        f"{_HANDSHAKE}::test_connection_steps_out_of_place_are_refused",
        f"{_LIVE}::test_packet_of_ibc_go_is_received_and_acknowledged",
        f"{_LIVE_RELAYER}::test_either_side_may_propose",
    ),
    "ICS-03 proofs: what differs from the proposal is refused": (
        f"{_HANDSHAKE}::test_connection_try_that_differs_from_the_proposal_is_refused",
        f"{_HANDSHAKE}::test_bad_connection_proposal_is_refused",
    ),
    "ICS-03 versions: intersection of features": (
        f"{_HANDSHAKE}::test_counterparty_with_fewer_features_narrows_the_connection",
        "tests/ibc/connection/test_versions.py::test_nothing_in_common_is_refused",
    ),
    "ICS-03 delay period in time and blocks": (
        f"{_PACKETS}::test_connection_delay_holds_packets_back",
        f"{_CLIENTS}::test_council_sets_the_expected_block_time",
    ),
    "ICS-04 the four steps, closing, and what may not be closed": (
        f"{_HANDSHAKE}::test_channel_opens_on_both_ends",
        f"{_HANDSHAKE}::test_channel_steps_out_of_place_are_refused",
        f"{_HANDSHAKE}::test_bad_channel_proposal_is_refused",
        f"{_HANDSHAKE}::test_channel_closes_on_both_ends",
        f"{_HANDSHAKE}::test_close_that_did_not_happen_is_refused",
        f"{_HANDSHAKE}::test_application_may_refuse_to_close",
    ),
    "ICS-04 unordered: any order, once each; receipts": (
        f"{_PACKETS}::test_unordered_packets_arrive_in_any_order",
        f"{_PACKETS}::test_relaying_again_succeeds_and_changes_nothing",
        "tests/twochain/test_interleavings.py::TestPacketLife",
    ),
    "ICS-04 ordered: in order only; a timeout closes": (
        f"{_PACKETS}::test_ordered_packets_arrive_in_order_only",
        f"{_PACKETS}::test_ordered_timeout_closes_the_channel",
        f"{_PACKETS}::test_ordered_received_packet_cannot_time_out",
    ),
    "ICS-04 acknowledgements: written once, also later; proven": (
        f"{_PACKETS}::test_asynchronous_acknowledgement_is_written_once",
        f"{_PACKETS}::test_acknowledgement_that_was_not_given_is_refused",
        f"{_LIVE}::test_packet_of_ours_is_answered_by_ibc_go",
    ),
    "ICS-04 timeouts: by height and time, the boundary, on close": (
        f"{_PACKETS}::test_timeout_by_time",
        f"{_PACKETS}::test_timeout_by_height",
        f"{_PACKETS}::test_timeout_boundary",
        f"{_PACKETS}::test_timeout_on_close",
        f"{_PACKETS}::test_received_packet_cannot_time_out",
        f"{_LIVE}::test_ibc_go_times_out_over_our_absence_proof",
        f"{_LIVE_RELAYER}::test_what_is_not_relayed_in_time_is_refunded_on_both_sides",
    ),
    "ICS-04 commitments bind every field of a packet": (
        f"{_PACKETS}::test_altered_packet_is_refused",
        f"{_PACKETS}::test_packet_of_another_channel_is_refused",
        f"{_PACKETS}::test_forged_proof_is_refused",
    ),
    "ICS-04 a failing callback: error acknowledgement, or still in flight": (
        f"{_PACKETS}::test_refused_packet_leaves_only_its_error_acknowledgement",
        f"{_PACKETS}::test_failing_callback_keeps_the_packet_in_flight",
    ),
    "ICS-04 channel upgrades, which ibc-go v10 has no more, are answered as absent": (
        f"{_RECORDED}::test_store_keys_are_answered_as_recorded",
    ),
    "ICS-20 escrow and mint, burn and pay out; both directions": (
        f"{_TRANSFER}::test_a_token_travels_there_and_back",
        f"{_LIVE_RELAYER}::test_tokens_of_simd_go_out_and_home",
        f"{_LIVE_RELAYER}::test_tokens_of_the_hub_go_out_and_home",
    ),
    "ICS-20 denominations over several hops; supply under every schedule": (
        f"{_TRANSFER}::TestTransferLife",
        f"{_ROUTES}::TestTransferRoutes",
        f"{_ROUTES}::test_a_token_goes_round_and_home_by_the_way_it_came",
    ),
    "ICS-20 amounts are canonical": (
        f"{_DATA}::test_one_bad_field_is_refused",
        f"{_PEER}::test_what_is_refused_moves_nothing",
    ),
    "ICS-20 bounds of memo and receiver on both sides": (
        f"{_KNOWN}::test_memo_and_receiver_have_bounds_on_both_sides",
        f"{_LIVE_COLLATERAL}::test_ibc_go_sends_no_longer_memo_than_we_receive",
    ),
    "ICS-20 refunds on error and timeout, once": (
        f"{_PEER}::test_an_error_refunds_once_and_a_success_keeps",
        f"{_LIVE_COLLATERAL}::test_a_refused_deposit_is_refunded_by_ibc_go",
    ),
    "ICS-20 blocked addresses: modules receive nothing": (
        f"{_RECEIVING}::test_receivers_that_may_not_hold_tokens_are_refused",
        f"{_LIVE_COLLATERAL}::test_a_receiver_that_cannot_be_is_refunded",
    ),
    "ICS-20 sending and receiving can be switched off": (
        f"{_SENDING}::test_sending_can_be_switched_off_by_the_authority_alone",
        f"{_RECEIVING}::test_receiving_can_be_switched_off",
    ),
    "ICS-20 versions and orders as ibc-go negotiates them": (
        f"{_RECEIVING}::test_versions_and_orders_as_ibc_go_has_them",
        f"{_TRANSFER}::test_a_transfer_channel_stays_open",
    ),
}
