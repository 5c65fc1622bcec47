//! Bytes written as base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The bytes that `text` stands for: the standard alphabet, padded.
///
/// # Errors
///
/// Where and why it stands for none.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("not base64 (standard alphabet, padded): {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_anything_else_is_refused() {
        assert_eq!(decode("AP8Q"), Ok(vec![0x00, 0xFF, 0x10]));
        assert_eq!(decode(""), Ok(Vec::new()));
        for text in ["AP8", "A P8Q", "AP_Q", "AP8Q=", "\u{e9}"] {
            assert!(decode(text).is_err(), "{text} was taken");
        }
    }
}
