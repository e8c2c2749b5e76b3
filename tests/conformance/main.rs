//! One suite for every runtime: what the contract of `ringway::runtime` promises, one file a line or two of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bufs;
mod closing;
mod deadlines;
mod drain;
mod flow;
mod relay;
mod sharing;
mod stage;

#[path = "../support/runtimes.rs"]
mod runtimes;

/// Instantiates the cases, listed here once, for one runtime.
macro_rules! conformance {
    ($name:ident, $kind:expr, $runtime:ty) => {
        mod $name {
            cases! { $kind, $runtime;
                deadlines:
                    a_missed_recv_ends_only_that_direction
                    a_missed_readable_ends_only_that_direction
                    a_missed_send_ends_only_that_direction
                    a_deadline_that_was_kept_is_forgotten
                    sleep_lasts
                    connect_is_refused
                    connect_misses_its_deadline;
                bufs:
                    recv_is_never_empty_and_the_end_repeats
                    recv_waits_for_a_buf
                    a_buf_goes_to_one_that_still_waits
                    a_stream_that_waited_for_a_buf_closes
                    a_flood_leaves_bufs_to_others
                    bytes_given_back_come_first
                    a_buf_is_the_pools
                    a_dropped_recv_loses_nothing
                    a_dropped_send_loses_no_buf;
                flow:
                    a_slow_reader_stops_a_fast_writer
                    both_directions_at_once
                    a_batch_of_many_pieces_arrives_in_order
                    tasks_take_turns;
                relay:
                    stops_at_the_limit
                    leaves_nothing_to_be_told_of
                    counts_to_the_end
                    tells_a_reset_source
                    tells_a_reset_sink
                    tells_a_silent_source
                    tells_a_stuck_sink_and_counts_what_it_took
                    is_bounded_between_moves_only
                    ends_by_stop_recv
                    tunnels_both_ways;
                closing:
                    abort_is_seen_as_a_reset
                    abort_ends_what_is_pending
                    drop_is_seen_as_the_end
                    shutdown_send_ends_one_direction
                    stop_recv_ends_pending_and_later_waits
                    rouse_ends_a_pending_readable_and_nothing_else
                    readable_tells_a_reset
                    a_reset_is_never_an_orderly_end
                    is_idle_tells_what_is_fit_for_reuse
                    what_is_left_when_main_ends_is_closed
                    short_connections_leak_nothing;
                drain:
                    ends_accept
                    called_on_the_runtime_ends_accept
                    ends_readable_and_nothing_else
                    finishes_what_runs
                    serves_what_waits_in_the_backlog;
                sharing:
                    spreads_a_few_connections_evenly
                    loses_nobody_when_a_drain_begins
                    leaks_no_descriptor_that_changes_hands;
            }
        }
    };
}

macro_rules! cases {
    ($kind:expr, $runtime:ty; $($file:ident: $($case:ident)*;)*) => {
        $(mod $file {
            $(#[test]
            fn $case() {
                let _alone = crate::stage::alone();
                if crate::runtimes::is_allowed($kind) {
                    crate::$file::$case::<$runtime>();
                }
            })*
        })*
    };
}

ringway::for_each_runtime!(conformance);
