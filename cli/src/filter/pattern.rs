//! A glob, as a person writes it.

use glob::Pattern;

/// The glob that `text` is.
///
/// The library's globs are made for paths, where `**` means folders within each other; topics have none.
///
/// # Errors
///
/// Where and why it is none.
pub fn parse_pattern(text: &str) -> Result<Pattern, String> {
    check_shape(text)?;
    Pattern::new(text).map_err(|error| match error.msg {
        "invalid range pattern" => {
            format!("not a glob: the bracket at character {} is not closed; `[[]` is the bracket itself", error.pos + 1)
        }
        other => format!("not a glob: {other} at character {}", error.pos + 1),
    })
}

fn check_shape(text: &str) -> Result<(), String> {
    let mut characters = text.chars().enumerate().peekable();
    while let Some((index, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        match (character, next) {
            ('*', Some('*')) => {
                return Err(format!("not a glob: `**` at character {}; one `*` is any text, slashes and dots too", index + 1));
            }
            ('[', Some('^')) => {
                return Err(format!("not a glob: `[^` at character {}; `[!...]` is any other character", index + 1));
            }
            ('[', first) => {
                // What stands first is meant itself, even if it is the bracket that closes.
                characters.next();
                if first == Some('!') {
                    characters.next();
                }
                characters.by_ref().find(|(_, member)| *member == ']');
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_that_is_wrong_is_refused_with_its_place() {
        assert!(parse_pattern("events.*").is_ok());
        for (wrong, part) in [
            ("a[", "the bracket at character 2 is not closed"),
            ("**a", "`**` at character 1"),
            ("a.***", "`**` at character 3"),
            ("a.[^b]", "`[^` at character 3; `[!...]`"),
        ] {
            let told = parse_pattern(wrong).unwrap_err();
            assert!(told.starts_with("not a glob: ") && told.contains(part), "{wrong}: {told}");
        }
    }

    #[test]
    fn brackets_are_one_character_of_these_or_of_any_others() {
        for (glob, yes, no) in [
            ("[ab]", "a", "c"),
            ("[a-c]x", "bx", "dx"),
            ("[!ab]", "c", "a"),
            ("[[]**]", "", "[x"),
            ("[**]", "*", "x"),
            ("[]]", "]", "x"),
            ("[!]]", "x", "]"),
            ("[a^]", "^", "!"),
            ("[?]", "?", "x"),
        ] {
            match parse_pattern(glob) {
                Ok(pattern) => assert!(pattern.matches(yes) && !pattern.matches(no), "{glob}"),
                Err(told) => assert!(yes.is_empty() && told.contains("`**` at character 4"), "{glob}: {told}"),
            }
        }
    }
}
