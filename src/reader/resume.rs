//! Where reading can go on behind damage.

use crate::error::EventStoreError;
use crate::model::ScanDirection;

/// The next entry to ask for, in the order of `direction`, once an error has been told; none where the error says
/// nothing about a single place.
pub(crate) fn behind(error: &EventStoreError, direction: ScanDirection) -> Option<u64> {
    let (first, last) = match error {
        EventStoreError::HashMismatch { seq } => (*seq, *seq),
        EventStoreError::Gap { missing, next, .. } => (*missing, (*missing).max(next.saturating_sub(1))),
        EventStoreError::Corrupted(corruption) => (corruption.seq?, corruption.seq?),
        _ => return None,
    };
    match direction {
        ScanDirection::Forward => last.checked_add(1),
        ScanDirection::Reverse => first.checked_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Corruption;

    #[test]
    fn reading_goes_on_at_the_first_entry_that_the_error_says_nothing_of() {
        let at = |error: EventStoreError| (behind(&error, ScanDirection::Forward), behind(&error, ScanDirection::Reverse));
        assert_eq!(at(EventStoreError::HashMismatch { seq: 7 }), (Some(8), Some(6)));
        assert_eq!(at(EventStoreError::Gap { prev: 6, next: 12, missing: 7 }), (Some(12), Some(6)));
        assert_eq!(at(Corruption { seq: Some(7), ..Corruption::default() }.into()), (Some(8), Some(6)));
        assert_eq!(at(Corruption::default().into()), (None, None));
        assert_eq!(at(EventStoreError::Disk(String::new())), (None, None));
        assert_eq!(at(EventStoreError::HashMismatch { seq: u64::MAX }), (None, Some(u64::MAX - 1)));
    }
}
