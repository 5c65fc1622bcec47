//! Which ids may name a folder.

use crate::error::EventStoreError;
use crate::limits::ID_LEN_MAX;

// Windows opens a device for these, in any case and whatever follows a dot; a folder of runs must
// survive being copied there.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// Checks that `value` can name a folder on every system, and nothing but a folder.
///
/// Valid are 1 to 64 letters, digits, dots, underscores and hyphens of ASCII, the first of which is not
/// a dot, and which are not the name of a device. `what` is for the message: `instance id` or `run id`.
///
/// # Errors
///
/// [`EventStoreError::InvalidId`] with the rule that `value` breaks.
pub fn validate_id(what: &'static str, value: &str) -> Result<(), EventStoreError> {
    match broken_rule(value) {
        None => Ok(()),
        Some(reason) => Err(EventStoreError::InvalidId { what, value: value.to_owned(), reason }),
    }
}

fn broken_rule(value: &str) -> Option<&'static str> {
    if value.is_empty() {
        return Some("it is empty");
    }
    if value.len() > ID_LEN_MAX {
        return Some("it is longer than 64 bytes");
    }
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Some("only ASCII letters, digits, '.', '_' and '-' are allowed");
    }
    if value.starts_with('.') {
        return Some("it starts with a dot");
    }
    if is_device(value) {
        return Some("it is the name of a device on some systems");
    }
    None
}

fn is_device(value: &str) -> bool {
    let stem = value.split('.').next().unwrap_or(value).to_ascii_lowercase();
    let numbered = stem.strip_suffix(|last: char| last.is_ascii_digit()).unwrap_or("");
    DEVICES.contains(&stem.as_str()) || NUMBERED_DEVICES.contains(&numbered)
}

const _: () = assert!(ID_LEN_MAX == 64, "a message above names the number");

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_refused(values: &[&str], part_of_reason: &str) {
        for value in values {
            match validate_id("run id", value) {
                Err(EventStoreError::InvalidId { what: "run id", value: shown, reason }) => {
                    assert_eq!(shown, *value);
                    assert!(reason.contains(part_of_reason), "{value:?} was refused because {reason}");
                }
                other => panic!("{value:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn ordinary_ids_are_valid() {
        let longest = "x".repeat(64);
        for value in ["1700000000000000000-abcd1234", "trader-001", "A", "a.b_c-d", "-", "_", "0", "a..b", longest.as_str()] {
            assert_eq!(validate_id("instance id", value), Ok(()), "{value:?}");
        }
    }

    #[test]
    fn an_empty_id_is_refused() {
        assert_refused(&[""], "empty");
    }

    #[test]
    fn an_id_of_65_bytes_is_refused() {
        assert_refused(&[&"x".repeat(65), &"é".repeat(33)], "longer than 64");
    }

    #[test]
    fn what_leads_out_of_the_folder_is_refused() {
        assert_refused(&["../", "../x", "a/b", "/", "/etc", "a\\b", "..\\x", "C:", "a/..", "run/"], "only ASCII");
        assert_refused(&[".", "..", "...", ".x", ".hidden-run"], "dot");
    }

    #[test]
    fn control_characters_spaces_and_wildcards_are_refused() {
        assert_refused(&["a\0", "\0", "a\n", "a b", " a", "a ", "a\t", "a\u{7f}", "a*", "a?", "a:b", "$HOME", "~", "a%2e"], "only ASCII");
    }

    #[test]
    fn letters_beyond_ascii_are_refused() {
        // Among them a full-width solidus, a one-dot leader, a superscript digit and a right-to-left override.
        assert_refused(&["é", "run-\u{212a}", "\u{ff0f}", "a\u{2024}", "com\u{b9}", "\u{202e}abc", "交易"], "only ASCII");
    }

    #[test]
    fn device_names_are_refused_in_any_case_and_with_any_extension() {
        assert_refused(&["con", "CON", "Con", "prn", "AUX", "nul", "NUL.txt", "nul.", "con.tar.gz", "aUx.1"], "device");
        assert_refused(&["COM0", "com1", "COM1.txt", "com9", "LPT1", "lpt9.log"], "device");
    }

    #[test]
    fn names_that_only_resemble_a_device_are_valid() {
        for value in ["con1", "com", "com10", "comx", "console", "xcon", "lpt", "nul-", "a.con", "aux_1"] {
            assert_eq!(validate_id("run id", value), Ok(()), "{value:?}");
        }
    }
}
