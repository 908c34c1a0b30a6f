"""Every sample and every "must show" of the risk rows has its test, and every test named is there.

The rows are those of the list of systems: accounts, collateral and value (1-9, 11, 12), the
requirement (13-20) and the oracle (45).
"""

import pytest

from tests.structure.test_obligations import list_tests

_HAIRCUT = "tests/risk/test_haircut.py"
_ACCOUNT = "tests/modules/accounts/test_margin.py"
_VALUE = "tests/modules/test_account_value.py"
_COLLATERAL = "tests/modules/collateral/test_collateral.py"
_MEASUREMENT = "tests/modules/collateral/test_measurement.py"
_RAMPS = "tests/modules/collateral/test_ramps.py"
_SOLVENCY = "tests/modules/collateral/test_solvency.py"
_MATCHING = "tests/modules/markets/test_matching.py"
_PORTFOLIO = "tests/modules/accounts/test_portfolio_margin.py"
_TEXT = "tests/risk/test_rederivation.py"
_HAND = "tests/risk/test_clauses_by_hand.py"
_PROPERTIES = "tests/risk/test_risk_properties.py"
_MARKET_RISK = "tests/modules/oracle/test_market_risk.py"
_NETTING = "tests/risk/test_netting.py"
_ACCOUNTS = "tests/modules/accounts/test_margin_rederivation.py"
_VENUES = "tests/twochain/test_venues.py"
_YIELD = "tests/modules/collateral/test_yield.py"
_DESK = "tests/modules/desk/test_desk.py"
_OUTAGE = "tests/modules/oracle/test_outage.py"
_PERMISSIONS = "tests/modules/oracle/test_permissions.py"
_ORDER = "tests/modules/accounts/test_update_order.py"
_VOTES = "tests/modules/oracle/test_votes.py"
_MARGIN = "tests/risk/test_margin.py"
_CORRELATION = "tests/risk/test_correlation.py"
_BLACK = "tests/risk/test_black76.py"
_DUST = "tests/modules/accounts/test_dust.py"

ROWS = {
    (1, "one account with liens on three chains has one E; each line adds its floored value"): (
        f"{_ACCOUNT}::test_three_chains_are_one_equity_and_each_line_adds_its_value",
        f"{_ACCOUNT}::test_lien_counts_its_floored_value",
    ),
    (1, "up to 128 numbered sub-accounts, up to 128 lines each"): (
        f"{_ACCOUNT}::test_lines_of_an_account_are_bounded",
        "tests/modules/accounts/test_handlers.py::test_bad_message_is_refused_and_leaves_nothing",
    ),
    (1, "E does not depend on the order of updates"): (
        f"{_ORDER}::test_any_order_of_updates_gives_the_same_ratio",
        f"{_DUST}::test_dust_gains_nothing_in_the_books",
        f"{_DUST}::test_dust_gains_nothing_on_the_chain",
        "tests/modules/accounts/test_ledger_machine.py::TestLedger",
        "tests/modules/test_instruments_machine.py::TestInstruments",
    ),
    (2, "sample: H 177,682 / 24,982 / 355,144 ppm, M 23,384,989,200 uusd"): (
        f"{_HAIRCUT}::test_collateral_value_sample_of_row_2",
    ),
    (2, "monotone in every h, each clamped"): (
        f"{_HAIRCUT}::test_haircut_is_bounded_and_monotone_in_every_factor",
        f"{_PROPERTIES}::test_m_never_rises_with_any_haircut",
        f"{_PROPERTIES}::test_each_haircut_is_clamped_to_its_whole_range",
    ),
    (2, "size of everything the owner has; start / total"): (
        f"{_HAIRCUT}::test_size_weight_by_hand",
        f"{_HAIRCUT}::test_liability_weight_by_hand",
        f"{_VALUE}::test_size_is_everything_the_owner_has_in_the_asset",
        f"{_VALUE}::test_an_asset_past_its_start_scales_for_everybody",
    ),
    (3, "sample: 3,311 / 12,822 / 36,264 / 332,364 ppm"): (
        f"{_HAIRCUT}::test_latency_premium_sample_of_row_3",
    ),
    (3, "measured parts bind in the same block; priors below 20 samples; nobody's traffic"): (
        f"{_MEASUREMENT}::test_delta_t_is_the_sum_of_its_measured_parts_in_the_same_block",
        f"{_MEASUREMENT}::test_below_twenty_samples_the_prior_holds_and_then_the_95th_percentile",
        f"{_COLLATERAL}::test_one_sample_a_block_whatever_the_traffic",
        f"{_COLLATERAL}::test_heartbeats_measure_the_route_and_silence_ages_it",
    ),
    (4, "sample: 142,822 ppm"): (
        "tests/risk/test_scenarios.py::test_latency_adjusted_risk_rate_sample",
        f"{_HAND}::test_positive_expiry_value_is_discounted_with_time_and_rate",
    ),
    (5, "base and steps of a class; part of the liquidation threshold; caps of new liens"): (
        f"{_COLLATERAL}::test_proof_age_and_security_follow_the_client",
        f"{_COLLATERAL}::test_a_second_relayer_takes_the_step_away",
        f"{_MEASUREMENT}::test_bridge_health_is_part_of_the_liquidation_threshold",
        f"{_COLLATERAL}::test_every_cap_holds_to_the_unit",
        f"{_RAMPS}::test_a_stake_that_falls_takes_pro_rata_and_ramps",
        f"{_RAMPS}::test_value_that_grows_past_the_stake_keeps_counting_but_nothing_new_does",
    ),
    (6, "raising a route's time lowers GMR in the same block with no price move"): (
        f"{_COLLATERAL}::test_a_longer_delta_t_lowers_the_ratio_in_the_same_block",
        f"{_ACCOUNT}::test_longer_delta_t_lowers_the_ratio_in_the_same_block",
    ),
    (6, "states at their thresholds; what leaves needs E_initial >= IMR and GMR >= 1.25"): (
        f"{_MARGIN}::test_states_at_their_exact_thresholds",
        f"{_ACCOUNT}::test_states_follow_the_price_down",
        f"{_ACCOUNT}::test_withdrawal_needs_the_ratio_after_it_to_the_unit",
        f"{_ACCOUNT}::test_lien_cannot_leave_at_a_low_ratio",
        f"{_VALUE}::test_cash_leaves_an_account_for_another_only_above_the_ratio",
    ),
    (7, "the sums are those of every account; an event when a route falls below 1"): (
        f"{_SOLVENCY}::test_sums_are_those_of_every_account",
        f"{_SOLVENCY}::test_an_event_fires_once_when_the_ratio_of_a_route_falls_below_one",
    ),
    (8, "caps; live feeds and depth of a listing; dust takes no line; leverage; refunds"): (
        f"{_COLLATERAL}::test_every_cap_holds_to_the_unit",
        f"{_YIELD}::test_a_listing_needs_three_sources_of_every_feed_behind_it",
        f"{_YIELD}::test_a_listing_needs_a_depth_figure",
        f"{_MEASUREMENT}::test_dust_opens_no_line_of_an_account",
        f"{_VALUE}::test_total_notional_is_limited_by_leverage",
        "tests/modules/vault/test_packets.py::test_a_lock_over_the_cap_is_refunded_to_the_unit",
    ),
    (9, "orders at their worst; in flight; 80 % of a profit for initial margin"): (
        f"{_MARGIN}::test_open_orders_bound_every_subset_of_fills",
        f"{_MATCHING}::test_open_orders_count_at_their_worst",
        f"{_PORTFOLIO}::test_no_fill_of_open_orders_passes_the_reachable_requirement",
        f"{_VALUE}::test_what_is_in_flight_counts_against_the_account",
        f"{_ACCOUNT}::test_profit_counts_in_part_for_initial_margin",
    ),
    (11, "price x exchange rate with a capped growth a day; unbonding enters the time"): (
        f"{_YIELD}::test_price_is_base_price_times_rate",
        f"{_YIELD}::test_the_rate_rises_by_its_cap_a_day_and_falls_at_once",
        f"{_YIELD}::test_unbonding_enters_delta_t_in_the_same_block",
    ),
    (12, "requirement over gross collateral, and chain by chain"): (
        f"{_DESK}::test_utilisation_is_requirement_over_gross_and_silos_stand_alone",
        f"{_VENUES}::test_the_sample_of_row_17_over_two_venues",
    ),
    (13, "two ceilings; 1.25 of the volatility; open interest scales the initial rate"): (
        f"{_MARGIN}::test_requirement_covers_the_exact_amount_on_both_sides",
        f"{_MARGIN}::test_a_longer_delta_t_lowers_the_ratio",
        f"{_MARGIN}::test_open_interest_scaling",
        f"{_VALUE}::test_the_initial_rate_rises_with_open_interest",
    ),
    (14, "the rule of every set, from its text and by hand"): (
        f"{_TEXT}::test_rows_and_parameters_are_those_of_the_text",
        f"{_TEXT}::test_portfolio_margin_is_that_of_the_text",
        f"{_ACCOUNTS}::test_portfolio_margin_of_an_account",
        "tests/risk/test_portfolio.py::test_rule_agrees_with_decimal",
        f"{_HAND}::test_volatility_shocks_scale_with_time",
        f"{_HAND}::test_basis_takes_each_expiry_at_its_worse_side",
        f"{_HAND}::test_static_charge_of_every_kind",
        f"{_HAND}::test_the_depeg_raises_the_factor_of_initial_margin",
        f"{_HAND}::test_confidence_takes_the_least_of_its_feeds",
        f"{_HAND}::test_scan24_weighs_its_tails",
        f"{_HAND}::test_scan24_asks_at_least_for_its_deltas",
        f"{_HAND}::test_span16_counts_its_extremes_at_35_percent",
    ),
    (14, "Greeks from the same kernel; agreement with an independent pricer"): (
        "tests/risk/test_portfolio.py::test_greeks_of_a_portfolio_are_the_sums_of_its_legs",
        f"{_DESK}::test_greeks_are_of_positions_and_collateral_together",
        f"{_BLACK}::test_price_and_greeks_agree_with_decimal",
        "tests/risk/test_quantlib.py::test_black76_agrees",
        "tests/risk/test_quantlib.py::test_black_scholes_agrees",
        f"{_BLACK}::test_deribit_marks_and_greeks",
    ),
    (14, "one answer batched or alone; a hedge never raises"): (
        "tests/risk/test_batch.py::test_batched_is_alone",
        f"{_PROPERTIES}::test_priced_portfolios_are_margined_alike_batched_or_alone",
        f"{_PROPERTIES}::test_every_account_at_the_range_check_is_exact",
        f"{_PROPERTIES}::test_a_union_never_needs_more_than_its_parts",
        f"{_PROPERTIES}::test_the_opposite_of_an_instrument_never_raises",
    ),
    (15, "every clause, from its text and by hand"): (
        f"{_TEXT}::test_standard_parameters_are_those_of_the_text",
        f"{_TEXT}::test_standard_margin_is_that_of_the_text",
        f"{_ACCOUNTS}::test_standard_margin_of_an_account",
        f"{_HAND}::test_short_call_leg",
        f"{_HAND}::test_short_put_leg",
        f"{_HAND}::test_long_options_add_nothing",
        f"{_HAND}::test_a_call_spread_asks_its_width",
        f"{_HAND}::test_a_put_spread_loses_most_at_a_price_of_zero",
        f"{_HAND}::test_unpaired_calls_are_charged_on_the_forward",
        f"{_HAND}::test_perpetuals_base_and_cash",
        f"{_HAND}::test_depeg_counts_perpetuals_and_short_options",
        f"{_HAND}::test_standard_confidence",
        f"{_PROPERTIES}::test_buying_an_option_never_raises_standard_requirements",
    ),
    (16, "the root, its floor of 30 %, semi-definite matrices, returns within governed bounds"): (
        f"{_CORRELATION}::test_requirement_by_hand",
        f"{_CORRELATION}::test_requirement_is_between_its_floor_and_gross",
        f"{_CORRELATION}::test_semidefiniteness_agrees_with_all_principal_minors",
        f"{_MARKET_RISK}::test_measured_correlation_stays_within_its_band",
        f"{_PORTFOLIO}::test_losses_of_underlyings_are_correlated",
    ),
    (17, "sample: 13,000, siloed 45,000"): (
        f"{_NETTING}::test_sample",
        f"{_VENUES}::test_the_sample_of_row_17_over_two_venues",
    ),
    (17, "never above gross; only what is acknowledged nets; ramps out"): (
        f"{_NETTING}::test_netting_never_asks_more_than_gross_and_ageing_never_less",
        f"{_PROPERTIES}::test_a_venue_more_never_asks_more_than_it_would_alone",
        f"{_VENUES}::test_a_report_that_has_not_arrived_does_not_net",
        f"{_VENUES}::test_a_leg_closes_only_after_the_hub_has_acknowledged",
        f"{_VENUES}::test_netting_ramps_out_as_a_report_ages",
        f"{_VENUES}::test_netting_ramps_out_over_a_route_that_is_paused",
    ),
    (18, "sample: variance 1.98445467...; the larger of both forecasts"): (
        "tests/risk/test_volatility.py::test_sample_of_row_18",
        f"{_MARKET_RISK}::test_sample_of_row_18_on_chain",
        f"{_MARKET_RISK}::test_margin_uses_the_larger_of_both_forecasts",
    ),
    (19, "sample: 664,830 ppm; tiers with ten blocks of hysteresis"): (
        f"{_CORRELATION}::test_volatility_index_sample",
        f"{_MARKET_RISK}::test_sample_of_row_19",
        f"{_MARKET_RISK}::test_tier_moves_after_ten_blocks_and_returns_after_ten",
        f"{_PORTFOLIO}::test_the_volatility_tier_multiplies_initial_margin",
    ),
    (20, "sample: 400,000 ppm at 900 s; new risk at once"): (
        "tests/risk/test_ramp.py::test_sample_of_row_20",
        f"{_RAMPS}::test_a_rise_of_volatility_reads_400_000_ppm_after_900_s",
        f"{_RAMPS}::test_a_rise_binds_new_risk_at_once_and_what_exists_later",
    ),
    (45, "median by power, two thirds, bounded step, permissions, outage"): (
        f"{_VOTES}::test_lower_median_of_the_power",
        f"{_VOTES}::test_step_is_bounded_and_the_raw_median_is_kept",
        f"{_VOTES}::test_one_third_silent_is_fine_more_is_not",
        f"{_OUTAGE}::test_exactly_two_thirds_of_the_power_is_enough",
        f"{_OUTAGE}::test_after_an_outage_nobody_is_liquidated_on_the_old_price",
        f"{_OUTAGE}::test_confidence_is_the_agreement_of_the_sources",
        f"{_PERMISSIONS}::test_matrix",
        f"{_PERMISSIONS}::test_disputed_or_moving_price_allows_no_new_risk",
        f"{_MATCHING}::test_stale_price_may_reduce_never_add",
        f"{_ACCOUNT}::test_withdrawal_waits_for_a_good_price_unless_nothing_can_be_owed",
    ),
}


def test_no_row_of_risk_is_lost():
    assert {row for row, _ in ROWS} == {*range(1, 10), *range(11, 21), 45}


@pytest.mark.parametrize("clause", ROWS, ids=lambda clause: f"{clause[0]}: {clause[1]}")
def test_every_clause_names_tests_that_exist(clause):
    assert ROWS[clause]
    for name in ROWS[clause]:
        file, _, test = name.partition("::")
        assert test in list_tests(file), f"row {clause[0]}: {name} is not there"
