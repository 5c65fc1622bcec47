//! The disk fails: a write, a sync, a rename; it is full, or read-only, or gone.
//!
//! After the first failure that leaves in doubt what is on the disk, nothing is acknowledged any more
//! and nothing is tried again, because a second sync that succeeds proves nothing about the bytes of
//! the first. A failure that leaves nothing in doubt is told, and the store goes on. Whatever happens,
//! the process lives, and what was acknowledged is there when the run is opened again.

mod bench;
mod cut_off;
mod evicted_pages;
mod folders;
mod full_disk;
mod latch;
mod limits;
mod no_latch;
mod order;
mod shutdown;
