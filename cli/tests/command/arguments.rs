//! Whatever the arguments are, there is an answer: never a panic, never a colour in a pipe.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Stdio;

use crate::support::{Base, SAMPLE, command, tapelog};

#[test]
fn help_and_version_are_data() {
    for arguments in [&["--help"][..], &["-h"], &["help", "record"], &["--version"], &["record", "--help"], &["verify", "-h"]] {
        let said = tapelog(arguments).expect(0);
        assert!(!said.stdout.is_empty() && said.stderr.is_empty(), "{said:#?}");
    }
    assert!(tapelog(["record", "--help"]).stdout.contains("client_order_id"));
}

#[test]
fn mistakes_are_told_and_exit_with_two() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["record"],
        &["record", SAMPLE],
        &["record", "--base"],
        &["ls"],
        &["ls", "a", "b", "c"],
        &["cat"],
        &["cat", "a", "--nonsense"],
        &["get", "a"],
        &["get", "a", "b"],
        &["recover", "a"],
        &["verify"],
        &["verify", "a", "b"],
        &["--json"],
        &[""],
        &["cat", "", "--json"],
    ] {
        let said = tapelog(arguments).expect(2);
        assert!(said.stdout.is_empty() && !said.stderr.is_empty(), "{arguments:?}: {said:#?}");
    }
}

#[test]
fn a_path_that_is_not_utf8_works() {
    let base = Base::new();
    let folder = base.path().join(OsStr::from_bytes(b"base-\xFF\xFE"));
    let record = [OsStr::new("record"), OsStr::new(SAMPLE), OsStr::new("--base"), folder.as_os_str(), OsStr::new("--run"), OsStr::new("a")];
    tapelog(record).expect(0);
    let run = folder.join("default").join("a");
    tapelog([OsStr::new("verify"), run.as_os_str()]).expect(0);
    tapelog([OsStr::new("cat"), run.as_os_str()]).expect(0);
    assert!(tapelog([OsStr::new("ls"), folder.as_os_str()]).expect(0).stdout.contains("3984"));
    tapelog([OsStr::new("ls"), folder.as_os_str(), OsStr::new("--json")]).expect(0).json();
    tapelog([OsStr::new("recover"), folder.as_os_str(), OsStr::new("default")]).expect(0);
    tapelog([OsStr::new("verify"), folder.as_os_str()]).expect(2);
    tapelog([OsStr::new("record"), folder.join("none").as_os_str(), OsStr::new("--base"), folder.as_os_str()]).expect(2);
}

#[test]
fn no_arguments_make_it_panic() {
    // A small generator of nonsense: every subcommand with words of every kind.
    let base = Base::new();
    let words: Vec<OsString> = [
        "--json",
        "--apply",
        "--key",
        "=",
        "--topic",
        "--since=\u{9b}",
        "--format=raw",
        "--payload",
        "msgpack",
        "[",
        "1",
        "--from",
        "--",
        "-",
        "\u{202e}",
        "--limit=0",
        "--to=x",
        "\n",
        "a=b",
        "",
        "/",
        ".",
    ]
    .iter()
    .map(OsString::from)
    .chain([OsString::from_vec(vec![0xFF, 0xFE]), base.path().into(), OsString::from("x".repeat(100_000))])
    .collect();
    let mut state: usize = 1;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    for _ in 0..300 {
        let mut arguments = vec![OsString::from(["ls", "cat", "get", "recover", "verify"][next(5)])];
        for _ in 0..next(5) {
            arguments.push(words[next(words.len())].clone());
        }
        let output = command(&arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0..=2)), "{arguments:?}: {:?} {told}", output.status);
        assert!(!told.contains("panicked"), "{arguments:?}: {told}");
        assert!(!output.stdout.contains(&0x1B) && !output.stderr.contains(&0x1B), "{arguments:?}");
    }
}

#[test]
fn a_standard_error_that_nobody_reads_is_no_danger() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let base = Base::new();
    assert_eq!(command(["verify", base.str()]).stderr(full()).status().unwrap().code(), Some(2));
    assert_eq!(command(["nonsense"]).stderr(full()).status().unwrap().code(), Some(2));
    assert_eq!(command(["--help"]).stdout(full()).stderr(Stdio::null()).status().unwrap().code(), Some(0));
    base.sealed_run("a", 1);
    assert_eq!(command(["ls", base.str()]).stdout(full()).stderr(full()).status().unwrap().code(), Some(2));
}

#[test]
fn a_folder_may_be_named_by_where_one_stands() {
    let base = Base::new();
    let run = base.sealed_run("a", 3);
    let instance = base.path().join("default");
    for (folder, path, others) in [(&run, ".", ".."), (&instance, "a", "."), (&instance, "./a/", "../default")] {
        let in_folder = |arguments: &[&str]| {
            let output = command(arguments).current_dir(folder).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{arguments:?} in {}: {output:?}", folder.display());
            String::from_utf8(output.stdout).unwrap()
        };
        for arguments in
            [&["cat", path][..], &["cat", path, "--chain"], &["follow", path, "--until-end"], &["follow", others, "--until-end"]]
        {
            assert_eq!(in_folder(arguments).lines().count(), 3, "{arguments:?}");
        }
        for arguments in [&["get", path, "2"][..], &["info", path], &["verify", path]] {
            assert!(!in_folder(arguments).is_empty(), "{arguments:?}");
        }
        // It goes on to look for a child, which is not there, until it is ended.
        let mut child = command(["follow", path]).current_dir(folder).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
