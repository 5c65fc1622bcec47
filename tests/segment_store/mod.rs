//! The segmented store over the public interface.

mod round_trip;
