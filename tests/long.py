"""What only `make test-all` and `.ci/run` play, beside what is marked so where it stands.

A quicker test shows nearly the same of each. Patterns of test names, as :mod:`fnmatch` reads them.
"""

LONG = (
    # One unseen seed after another: windows are held against one sync on a workspace of their own, too.
    "*test_windows.py::test_windows_one_after_another_give_what_one_sync_gives",
    "*test_sync.py::test_the_machines_clock_does_not_matter",
    "*test_sync.py::test_an_old_chat_that_moved_is_found_by_the_next_sweep",
    "*test_sync.py::test_agent_runs_count_their_runs_whatever_was_synced_before?apart?",
    "*test_sync.py::test_what_stands_in_for_exports_gives_the_same_tables?csv?",
    "*test_resume.py::test_syncs_that_run_out_of_time_get_there_together?published?",
    "*test_query.py::test_rows_by_sql_are_those_of_the_lists?split?",
    "*test_query.py::test_sql_that_lags_for_long_is_made_up_for_by_the_next_sweep?lags?",
    "*test_query.py::test_late_rows_of_sql_arrive_within_the_lookback",
    "*test_careful.py::test_filters_may_include_their_bounds_or_not?False?",
    # The demo itself is the README's first command.
    "*test_parts.py::test_the_demo_shows_what_the_pages_show",
    # The catalogue seldom changes, and so does what a token needs.
    "*test_blocks.py::test_the_least_permissions_are_enough*",
    "*test_secrecy.py::test_nothing_that_is_secret_is_left_behind?none-dlt's?",
    "*test_tolerance.py::test_everything_loads_whatever_the_contract_allows?partial?",
    "*test_members.py::*?alone?",
    "*test_members.py::test_change_rows_of_earlier_syncs_count",
    "*test_deletes.py::test_rows_of_a_model_that_are_gone?hard-*",
    "*test_deletes.py::test_rows_of_a_model_that_are_gone?ignore-*",
    "*test_deletes.py::*?hard?",
    "*test_deletes.py::test_modes_may_change_between_syncs",
    "*test_drift.py::test_a_retyped_column_loads_its_table_anew?*-pages?",
    "*test_drift.py::test_a_retyped_column_loads_its_table_anew?boolean*",
    "*test_publish.py::test_a_kill_leaves_state_and_file_fit_for_each_other?False-*",
    "*test_outcomes.py::test_a_model_that_is_always_written_loads_three_times_and_then_stops",
    "*test_state.py::test_a_database_that_was_restored_from_yesterday_has_no_gap",
    "*test_disk.py::*",
    "*test_windows.py::test_a_window_that_is_loaded_twice_changes_nothing_and_moves_no_cursor",
    "*test_modelling.py::test_a_sync_loads_what_was_made_changed_and_removed",
    "*test_pipelines.py::test_without_apply_nothing_is_sent",
    "*test_pipelines.py::test_a_workspace_is_loaded_and_then_what_moved",
    "*test_pipelines.py::test_runs_are_loaded_window_by_window",
    # What most other tests show of DuckDB, told once more beside the other places; kills and windows take long.
    "*test_places.py::*?duckdb*",
    "*test_places.py::test_a_sync_after_one_that_was_killed*?files-later*",
    "*test_places.py::test_a_backfill_loads*?files?",
    "*test_places.py::test_every_cell*?files?",
    # Half a minute each, most of it the sandbox's: the same with a tenth of the rows, or by one library, is quick.
    "*test_sending.py::test_bad_rows_are_found_and_the_others_go_through?10000-37?",
    "*test_round_trip.py::test_5000_random_rows_come_back_as_they_were_pushed?polars?",
    "*test_round_trip.py::test_5000_random_rows_come_back_as_they_were_pushed?arrow?",
    "*test_round_trip.py::test_what_was_pulled_is_pushed_without_a_change?31?",
    "*test_world_time.py::test_the_same_seed_gives_the_same_bytes_in_any_process",
)
