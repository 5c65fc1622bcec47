//! A key, as a person names it.

use tapelog::{IndexKey, IndexKind};

/// The key that `text` names: the kind, an equals sign and the key itself, which may hold anything.
///
/// # Errors
///
/// What was expected.
pub fn parse_key(text: &str) -> Result<IndexKey, String> {
    let (kind, key) = text.split_once('=').ok_or("expected KIND=VALUE")?;
    let kind = match kind {
        "client_order_id" => IndexKind::ClientOrderId,
        "venue_order_id" => IndexKind::VenueOrderId,
        name => name.parse().map_err(|_| format!("{name:?} is no kind of key: client_order_id and venue_order_id are"))?,
    };
    Ok(IndexKey::new(kind, key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_kind_and_a_value_that_may_hold_anything() {
        let key = |kind, text: &str| Ok(IndexKey::new(kind, text.to_owned()));
        assert_eq!(parse_key("client_order_id=O-1"), key(IndexKind::ClientOrderId, "O-1"));
        assert_eq!(parse_key("VenueOrderId=a=b"), key(IndexKind::VenueOrderId, "a=b"));
        assert_eq!(parse_key("venue_order_id="), key(IndexKind::VenueOrderId, ""));
        assert!(parse_key("O-1").is_err());
        assert!(parse_key("trade_id=1").unwrap_err().contains("trade_id"));
    }
}
