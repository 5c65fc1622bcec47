//! Second processes: the test binary runs one ignored test of itself in a child.

use std::env;
use std::process::Command;

/// Set in a child, so that nobody who runs the ignored tests by hand runs these.
const CHILD: &str = "TAPELOG_TEST_CHILD";

/// The command that runs the ignored test `name`, given with its modules, and lets it speak on its stdout.
pub fn child_test(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(child_arguments(name)).env(CHILD, "1");
    command
}

/// What a test binary has to be told to run one ignored test; the variable [`CHILD`] is set beside it.
fn child_arguments(name: &str) -> [&str; 5] {
    [name, "--exact", "--ignored", "--nocapture", "--test-threads=1"]
}

/// As [`child_test`], through a shell that does `preparation` first: what a process cannot safely do to itself.
pub fn child_test_after(preparation: &str, name: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{preparation}; exec \"$0\" \"$@\"")]).arg(env::current_exe().unwrap());
    command.args(child_arguments(name)).env(CHILD, "1");
    command
}

/// Whether this process is such a child.
pub fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

/// A value that the parent gave.
pub fn given(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("the parent gives {name}"))
}

/// Says something to the parent. The mark tells it from what the test harness prints on the same line.
pub fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{text}").unwrap();
    out.flush().unwrap();
}

const MARK: &str = "@child ";

/// What a child said in one line of its output, if it did.
pub fn heard(line: &str) -> Option<&str> {
    line.split_once(MARK).map(|(_, text)| text)
}
