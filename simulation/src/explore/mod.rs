//! What is explored: every short history, and long ones at random.

pub mod damage;
pub mod exhaustive;
pub mod explorations;
pub mod faults;
pub mod history;
pub mod lives;
pub mod play;
pub mod receipts;
