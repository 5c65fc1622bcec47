//! The life of an engine's runs: boot, session, rotation, crash and boot again.

mod bench;
mod boot;
mod broken_off;
mod housekeeping;
mod killed_engine;
mod session;
