//! Scenarios: one story of a failure each, and what must come of it.
//!
//! The explorations find what goes wrong somewhere. These say what goes right in a situation that comes up
//! rarely, or that only damage leads to, and each says so in a sentence: its name. They are tests, and they
//! are the first search by which `simulate bugs` looks for a seeded bug.

mod bench;

use crate::oracle::Oracle;

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it claims.
    pub name: &'static str,
    /// Tells the story, and fails with what came out wrong. The disks that it looks at are counted.
    pub check: fn(&mut Oracle) -> Result<(), String>,
}

/// Lists every scenario once: in the table, and as a test.
macro_rules! scenarios {
    ($($module:ident: $($name:ident)+;)+) => {
        $(mod $module;)+

        /// Every scenario, in the order of the way of an entry.
        pub const ALL: &[Scenario] = &[$($(Scenario { name: stringify!($name), check: $module::$name }),+),+];

        #[cfg(test)]
        mod tests {
            use super::*;

            $($(
                #[test]
                fn $name() {
                    let outcome = $module::$name(&mut Oracle::default());
                    assert_eq!(outcome, Ok(()));
                }
            )+)+
        }
    };
}

scenarios! {
    writing:
        an_acknowledged_batch_survives_the_loss_of_power
        a_batch_larger_than_a_segment_lies_within_the_durable_length
        a_folder_that_an_earlier_process_made_is_made_durable
        a_failed_sync_closes_the_store
        a_failed_write_of_the_witness_closes_the_store
        an_append_that_would_pass_the_bound_waits_for_a_sync
        a_failed_sync_that_dropped_its_pages_is_rewritten_by_recovery
        a_write_that_took_a_part_is_continued
        a_read_that_brought_a_part_is_continued
        a_segment_that_is_written_has_a_durable_name
        a_failed_sync_of_the_folder_closes_the_store
        a_full_segment_gets_its_indexes_once_it_is_durable
        the_first_entry_with_a_key_is_the_one_that_is_found;
    judging:
        a_damaged_batch_before_a_whole_commit_is_damage
        claims_of_later_segments_count
        a_damaged_anchor_is_damage
        a_commit_that_was_never_whole_claims_nothing
        a_segment_behind_lost_batches_is_discarded
        a_full_segment_that_was_cut_short_is_damage
        a_segment_that_lost_its_header_page_is_damage
        a_damaged_run_is_sealed_as_quarantined_only
        what_was_discarded_never_comes_back
        a_reader_is_shown_what_is_proven_only;
    witnesses:
        a_witness_that_was_written_proves_what_it_tells
        a_synced_witness_survives_the_loss_of_power
        the_newer_slot_counts_wherever_it_stands
        a_witness_of_another_run_proves_nothing
        the_commit_that_a_witness_names_is_looked_at
        both_slots_name_the_end_after_a_recovery;
    forgeries:
        a_header_with_another_checksum_is_no_frame
        bytes_behind_a_body_are_noticed
        a_body_with_another_checksum_is_not_served
        keys_that_were_altered_under_right_checksums_are_noticed
        records_that_were_exchanged_under_right_checksums_are_noticed
        a_count_that_does_not_fit_ends_the_log
        a_commit_number_that_does_not_follow_ends_the_log
        a_payload_that_is_not_what_its_hash_says_is_not_served;
    sealing:
        a_sealed_run_holds_everything_that_was_written
        a_seal_stands_for_what_it_says_from_its_first_moment
        a_seal_that_was_cut_off_is_confirmed_before_a_child_goes_on
        a_child_names_no_seal_that_may_be_taken_back
        a_sweep_tells_of_no_seal_that_may_be_taken_back;
    following:
        a_reader_beside_the_writer_is_shown_what_is_durable
        a_tail_is_shown_what_is_durable
        a_look_up_finds_no_key_that_may_be_taken_back
        a_follower_stops_at_what_the_writer_says_is_durable
        a_follower_shows_nothing_of_a_batch_that_is_not_whole;
    folders:
        a_renamed_folder_is_refused
        a_lost_manifest_is_not_taken_for_a_new_run
        a_run_that_is_being_written_is_not_recovered
        an_index_of_another_segment_is_not_believed
        a_damaged_index_is_not_believed;
}
