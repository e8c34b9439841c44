//! The laws of brokers: what the contract says, one sentence each, held against every back end, and, where a law is
//! about what is recorded, also through a network that loses requests and answers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod cache;
mod cancel;
mod chance;
mod claim;
mod client;
mod crash;
mod dependencies;
mod faulty;
mod finish;
mod groups;
mod hints;
mod maker;
mod model;
mod progress;
mod records;
mod sessions;
mod sqlite_file;
mod submit;
mod time;
mod views;

#[path = "../support/redis_server.rs"]
#[expect(dead_code, reason = "for all test binaries")]
mod redis_server;

/// Makes tests of laws. Those under `exact` look at single answers, so they are only held against back ends as they
/// are; those under `recorded` hold whatever is lost on the way, as long as requests are repeated with the same ids.
macro_rules! laws {
    (exact: [$($law:ident::$name:ident,)+] recorded: [$($any:ident::$kept:ident,)+]) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::$law::$name(&crate::maker::Maker::sqlite()).await;
            })+
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $kept() {
                crate::$any::$kept(&crate::maker::Maker::sqlite()).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::$law::$name(&crate::maker::Maker::redis()).await;
            })+
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $kept() {
                crate::$any::$kept(&crate::maker::Maker::redis()).await;
            })+
        }
        mod faulty_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $kept() {
                crate::$any::$kept(&crate::maker::Maker::sqlite().faulty(stringify!($kept))).await;
            })+
        }
        mod faulty_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $kept() {
                crate::$any::$kept(&crate::maker::Maker::redis().faulty(stringify!($kept))).await;
            })+
        }
    };
}

laws! {
    exact: [
    submit::answers_come_in_the_order_of_the_tasks,
    submit::a_reused_key_is_told_and_takes_nothing,
    submit::a_key_is_free_when_its_task_is_gone,
    submit::a_full_queue_takes_nothing,
    submit::a_full_queue_still_answers_for_known_tasks,
    submit::all_that_waits_counts_to_the_limit,
    submit::an_unknown_dependency_is_named_and_takes_nothing,
    claim::wants_are_served_in_turn,
    claim::a_session_that_is_not_live_gets_nothing,
    claim::lanes_without_work_are_told,
    claim::lanes_and_priorities_are_apart,
    claim::a_lease_carries_what_was_submitted,
    claim::ready_lanes_are_listed_by_priority,
    finish::another_session_cannot_end_a_lease,
    finish::an_ending_told_twice_is_stale,
    finish::one_stale_ending_does_not_hold_up_others,
    finish::a_retry_goes_before_newer_work,
    finish::a_retry_with_a_delay_waits,
    finish::a_returned_lease_goes_to_the_front_and_does_not_count,
    finish::a_lost_node_is_counted,
    finish::the_next_lease_says_where_the_last_run_was,
    dependencies::a_dependent_waits_and_gets_results,
    dependencies::the_last_dependency_unblocks,
    dependencies::the_delay_of_a_dependent_counts_from_then,
    dependencies::what_completed_before_does_not_block,
    dependencies::what_failed_before_fails_the_task_at_once,
    dependencies::failing_goes_through_all_levels,
    dependencies::cancelling_goes_through_all_levels,
    dependencies::a_requeued_dependent_waits_for_what_has_not_ended,
    cancel::what_has_not_begun_is_cancelled_at_once,
    cancel::a_running_task_is_asked_for,
    cancel::a_task_that_completes_although_cancelled_is_completed,
    cancel::what_ended_or_is_unknown_is_not_cancelled,
    cancel::a_requeued_task_is_as_new,
    cancel::only_what_failed_or_was_cancelled_is_requeued,
    sessions::the_first_renewal_begins_a_session,
    sessions::leases_of_a_dead_session_go_before_newer_work,
    sessions::a_session_that_was_not_given_up_lives_on,
    sessions::a_session_that_was_given_up_is_new,
    sessions::a_session_that_leaves_returns_its_leases,
    sessions::sessions_see_each_other,
    sessions::sessions_see_the_nodes_of_others,
    time::a_delayed_task_waits_for_its_time,
    time::ended_tasks_are_kept_and_then_forgotten,
    groups::concurrency_counts_over_sessions_and_lanes,
    groups::an_end_makes_room_in_a_group,
    groups::a_dead_session_makes_room_in_a_group,
    groups::a_rate_is_kept,
    groups::limits_are_set_shown_and_removed,
    progress::entries_are_numbered_and_read_from_anywhere,
    progress::the_log_is_bounded_and_numbers_are_not_used_twice,
    cache::an_entry_is_set_read_and_removed,
    cache::an_entry_ends_with_its_time,
    cache::a_quota_counts_keys_values_and_entries,
    cache::entries_whose_time_is_up_give_their_bytes_back,
    cache::namespaces_are_apart,
    records::a_removed_record_is_gone_and_its_versions_too,
    records::a_record_has_a_limit,
    hints::new_work_is_hinted,
    hints::work_that_comes_back_is_hinted,
    hints::a_wish_to_cancel_is_hinted,
    hints::a_broadcast_comes_back,
    hints::messages_reach_the_others,
    views::states_are_listed_in_their_order,
    views::a_broker_says_who_it_is,
    ]
    recorded: [
    submit::a_task_is_stored_as_submitted,
    submit::a_known_id_changes_nothing,
    submit::an_id_twice_in_a_batch_is_one_task,
    submit::an_idempotency_key_stands_for_its_task,
    submit::nothing_is_a_batch_too,
    claim::tasks_of_a_lane_come_in_order,
    claim::a_task_has_one_lease_at_a_time,
    finish::a_result_is_kept,
    finish::a_failed_task_is_a_dead_letter,
    finish::an_old_fence_changes_nothing,
    cancel::a_cancelled_run_does_not_come_back,
    cancel::a_wish_to_cancel_outlives_the_session,
    sessions::a_renewed_session_keeps_its_leases,
    time::what_has_not_ended_is_not_forgotten,
    views::counts_follow_every_move,
    views::everything_is_there_for_the_next_process,
    records::a_record_is_written_over_the_version_that_was_seen_only,
    records::of_all_who_saw_one_version_one_writes,
    records::records_are_there_for_the_next_process_and_for_a_neighbour,
    model::workers_that_die_lose_nothing,
    model::random_histories_keep_the_books,
    ]
}
