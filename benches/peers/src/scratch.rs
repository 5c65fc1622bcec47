//! The folder on the disk in which a measurement works, removed when it ends.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Failure;

const TMPFS_MAGIC: u64 = 0x0102_1994;

/// A new folder under `--dir`, else under `TAPELOG_BENCH_DIR`, else beside this program.
///
/// # Errors
/// Where it cannot be made, and where it would lie in memory: syncs cost nothing there.
pub fn scratch(dir: Option<String>) -> Result<TempDir, Failure> {
    let parent = match dir.map(PathBuf::from).or_else(|| std::env::var_os("TAPELOG_BENCH_DIR").map(PathBuf::from)) {
        Some(parent) => parent,
        None => std::env::current_exe()?.parent().ok_or("this program lies in no folder")?.to_path_buf(),
    };
    std::fs::create_dir_all(&parent)?;
    if u64::try_from(rustix::fs::statfs(&parent)?.f_type)? == TMPFS_MAGIC {
        return Err(format!("{} lies in memory and not on a disk; set TAPELOG_BENCH_DIR", parent.display()).into());
    }
    Ok(tempfile::Builder::new().prefix("tapelog-bench-").tempdir_in(&parent)?)
}

/// How many bytes the files in a folder have, all told.
///
/// # Errors
/// Where the folder cannot be read.
pub fn bytes_in(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
