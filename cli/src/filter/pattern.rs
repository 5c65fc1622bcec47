//! A glob, as a person writes it.

use glob::Pattern;

/// The glob that `text` is.
///
/// # Errors
///
/// Where and why it is none.
pub fn parse_pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| format!("not a glob: {} at character {}", error.msg, error.pos + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_that_is_wrong_is_refused_with_its_place() {
        assert!(parse_pattern("events.*").is_ok());
        assert!(parse_pattern("a[").unwrap_err().ends_with("at character 2"), "{:?}", parse_pattern("a["));
    }
}
