//! The segmented store over the public interface.

mod background_by_hand;
mod boot_sweep;
mod read_only;
mod round_trip;
