//! Tests that need a second process: the test binary runs one ignored test of itself in a child.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: &str = "TAPELOG_TEST_CHILD_FOLDER";

/// The command that runs the ignored test `name`, given with its modules, on `folder`.
pub(super) fn child_test(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored", "--nocapture"]).env(FOLDER, folder);
    command
}

/// The folder that the parent gave; nothing where somebody ran the ignored tests by hand.
pub(super) fn folder_from_parent() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}
