//! What `tapelog info` tells of a run: [`survey`] goes through its entries once, [`lineage`] looks beside it, and
//! [`report`] is both with what the run says of itself.

mod busiest;
pub mod lineage;
pub mod report;
pub mod survey;
