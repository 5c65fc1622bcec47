//! What a folder is: a run, an instance with its runs, or a base with its instances.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use tapelog::{RunListing, SegmentBackend};

use crate::exit::Failure;

/// Whether there is a run in the folder at `path`, or what is left of one.
///
/// # Errors
///
/// When the folder cannot be listed.
pub fn holds_run(path: &Path) -> io::Result<bool> {
    let of_a_run = |name: &OsStr| name == "MANIFEST" || Path::new(name).extension() == Some(OsStr::new("seg"));
    Ok(std::fs::read_dir(path)?.flatten().any(|file| of_a_run(&file.file_name())))
}

/// Whether the folder at `path` is an instance: folders of runs lie in it. A run, whose sidecar has a manifest too, is none.
pub fn holds_runs(path: &Path) -> bool {
    !holds_run(path).unwrap_or(false) && folders(path).any(|run| holds_run(&run).unwrap_or(false))
}

/// Whether the folder at `path` is a base: folders of instances lie in it.
pub fn holds_instances(path: &Path) -> bool {
    folders(path).any(|instance| holds_runs(&instance))
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir())
}

/// The folder at `path` by a name that tells where it lies: `.` and `..` do not, and a run or an instance is known by it.
///
/// # Errors
///
/// When the folder cannot be found.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    if path.file_name().is_none() { path.canonicalize() } else { std::path::absolute(path) }
}

/// Every run of the instance at `instance` in the order in which runs are listed; none where the folder is not there.
///
/// # Errors
///
/// When the folder cannot be listed.
pub fn runs_of(instance: &Path) -> Result<Vec<RunListing>, Failure> {
    let path = absolute(instance).map_err(|error| Failure::new(format!("cannot open {}: {error}", instance.display())))?;
    // An id is ASCII: what is lost of any other name is no loss.
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    SegmentBackend::scan_runs(&base, &name).map_err(|error| Failure::at(&path, &error))
}
