//! The entry writer over the public interface: order, acknowledgement, requests, and how it ends.

mod allocation;
pub mod bench;
mod close;
mod durable;
mod halt;
mod limits;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod observed;
mod order;
mod requests;
mod rotation;
mod stall;
mod stores;
