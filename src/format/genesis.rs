//! The body of GENESIS: the opening section of MANIFEST once more, byte for byte.
//!
//! It follows OPEN in the first segment, so that a rotten MANIFEST costs nothing.

use serde::de::DeserializeOwned;

use super::FormatError;
use super::bytes::check_len;
use super::field::{Field, covers};
use super::manifest::{Opening, decode_opening};
use crate::limits::{FRAME_BODY_LEN_MAX, OPENING_LEN_MAX};

/// The fields of the body.
pub(crate) const FIELDS: &[Field] = &[Field::first("opening", 0)];

const _: () = {
    assert!(covers(FIELDS, 0));
    assert!(OPENING_LEN_MAX <= FRAME_BODY_LEN_MAX);
};

/// Reads a body.
pub(crate) fn decode_body<T: DeserializeOwned>(body: &[u8]) -> Result<Opening<T>, FormatError> {
    let opening = decode_opening(body)?;
    check_len(body, opening.bytes.len())?;
    Ok(opening)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::manifest::encode_opening;
    use crate::format::testing::{UID, for_each_truncation, is_damage};

    #[test]
    fn a_body_is_the_opening_section_and_nothing_else() {
        let mut body = encode_opening(&UID, &[1; 32], &"manifest".to_owned()).unwrap();
        let opening = decode_body::<String>(&body).unwrap();
        assert_eq!((opening.manifest.as_str(), &opening.bytes), ("manifest", &body));
        for_each_truncation(&body, |bytes| assert!(is_damage(&decode_body::<String>(bytes))));
        body.push(0);
        assert!(is_damage(&decode_body::<String>(&body)));
    }
}
