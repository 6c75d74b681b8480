//! The promises of the store, written against `dyn Store`: each implementation runs every one of them.

#[path = "store/accepting.rs"]
mod accepting;
#[path = "store/embedded.rs"]
mod embedded;
#[path = "store/keeping.rs"]
mod keeping;
#[path = "store/leasing.rs"]
mod leasing;
#[path = "store/outage.rs"]
mod outage;
#[path = "store/people.rs"]
mod people;
#[path = "store/postgres.rs"]
mod postgres;
#[path = "store/reading.rs"]
mod reading;
#[path = "store/restored.rs"]
mod restored;
#[path = "store/sending.rs"]
mod sending;
#[path = "support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod server;
#[path = "store/shared.rs"]
mod shared_work;
#[path = "support/skip.rs"]
#[expect(dead_code, reason = "no tool is looked for here")]
mod skip;
#[path = "store/support.rs"]
mod support;
#[path = "store/unknowns.rs"]
mod unknowns;

/// Runs each promise against every store.
macro_rules! promises {
    ($($module:ident: $($name:ident)+;)+) => {
        mod sqlite {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(crate::support::Fixture::sqlite().await).await;
                })+
            })+
        }

        mod shared {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(fixture) = crate::support::Fixture::postgres().await {
                        crate::$module::$name(fixture).await;
                    }
                })+
            })+
        }
    };
}

promises! {
    accepting:
        a_hundred_concurrent_accepts_of_one_request_make_one_notification
        a_request_id_with_another_payload_is_reused_and_ids_are_the_callers_own
        an_atomic_batch_is_all_or_none
        a_restart_keeps_everything
        a_newer_one_supersedes_the_older_and_an_older_one_is_told
        superseding_gives_back_usage_and_spares_what_is_handed_over
        a_once_key_is_remembered
        a_bad_row_fails_alone
        a_planner_that_panics_costs_one_notification
        what_a_gone_caller_asked_is_dropped
        budgets_are_exact_under_concurrency
        waiters_are_ranked_and_planned_together
        a_later_send_time_is_held_and_planned_when_due;
    sending:
        a_message_goes_from_ready_to_history
        workers_who_ask_together_each_get_their_own
        a_stale_fence_changes_nothing
        a_claim_may_be_repeated
        a_claim_is_refused_after_expiry
        a_claim_is_refused_for_a_suppressed_address
        a_retry_waits_and_is_claimed_again
        a_permanent_failure_falls_back_and_then_fails
        every_channel_counts_together
        an_unknown_is_held_until_its_expiry
        an_unknown_is_sent_again_with_the_same_id
        a_resend_that_expires_ends_as_unknown
        what_no_worker_takes_ends_at_its_expiry
        dead_processes_are_taken_over
        what_could_not_be_rendered_is_settled_without_a_claim
        cancelling_calls_off_what_is_not_handed_over
        the_next_due_time_is_the_earliest;
    leasing:
        leave_is_given_up_to_the_limit
        upper_lanes_have_leave_where_lower_ones_wait;
    people:
        a_changed_preference_decides_again
        a_suppression_decides_again_and_is_listed
        an_outcome_decides_again
        customers_are_changed_each_for_itself
        erasing_keeps_a_pseudonym
        a_guest_has_one_pseudonym_an_address
        bundles_are_kept_once;
    reading:
        pages_follow_each_other_through_open_and_ended
        filters_select
        nobody_sees_what_is_anothers
        events_have_no_gaps_under_concurrency
        a_dry_run_stores_nothing;
    keeping:
        request_ids_are_kept_for_72_hours_after_the_end
        what_ended_is_dropped_in_its_time_and_what_is_open_is_not
        usage_outlives_the_budgets
        pages_and_watches_go_on_over_what_was_dropped
        sweeps_take_many_steps_and_miss_nothing;
    restored:
        what_may_have_been_sent_is_unknown_after_a_recovery;
    unknowns:
        an_operator_ends_an_unknown
        an_operator_sends_an_unknown_again
        an_operator_answers_for_one_message
        what_is_not_unknown_is_not_resolved
        unknowns_are_paged_in_order
        of_all_who_end_an_unknown_one_does;
}
