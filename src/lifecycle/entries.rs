//! The entries by which a session begins and ends its run.

use bytes::Bytes;

use crate::error::EventStoreError;
use crate::model::{EntryDraft, EventStoreEntry, Headers, RegisteredComponents, RunId, UnixNanos};

/// The topic of the first entry of a session's run.
pub const RUN_STARTED_TOPIC: &str = "run.lifecycle.RunStarted";
/// Its payload type. The payload is the registered components, by the standard configuration of `bincode` 2.
pub const RUN_STARTED_PAYLOAD_TYPE: &str = "RunStarted";
/// The topic of the entry by which a session ends its run.
pub const RUN_ENDED_TOPIC: &str = "run.lifecycle.RunEnded";
/// Its payload type. The payload is empty, or, where the engine goes on in another run, that run's id.
pub const RUN_ENDED_PAYLOAD_TYPE: &str = "RunEnded";

/// The first entry of a run.
///
/// # Errors
/// `Backend` where the components cannot be encoded.
pub(super) fn run_started(components: &RegisteredComponents, ts_init: UnixNanos) -> Result<EntryDraft, EventStoreError> {
    let payload = bincode::serde::encode_to_vec(components, bincode::config::standard())
        .map_err(|error| EventStoreError::Backend(format!("cannot encode the registered components: {error}")))?;
    Ok(draft(RUN_STARTED_TOPIC, RUN_STARTED_PAYLOAD_TYPE, payload.into(), ts_init))
}

/// The last entry of a run; `next` is the run in which the engine goes on.
pub(super) fn run_ended(next: Option<&RunId>, ts_init: UnixNanos) -> EntryDraft {
    let payload = next.map_or_else(Bytes::new, |next| Bytes::copy_from_slice(next.as_bytes()));
    draft(RUN_ENDED_TOPIC, RUN_ENDED_PAYLOAD_TYPE, payload, ts_init)
}

fn draft(topic: &str, payload_type: &str, payload: Bytes, ts_init: UnixNanos) -> EntryDraft {
    EntryDraft::without_indices(Headers::empty(), topic.into(), payload_type.into(), payload, ts_init)
}

/// Whether an entry is the one by which a session ended its run.
pub(super) fn is_run_ended(entry: &EventStoreEntry) -> bool {
    entry.topic.as_str() == RUN_ENDED_TOPIC && entry.payload_type.as_str() == RUN_ENDED_PAYLOAD_TYPE
}

/// The run in which the engine meant to go on when it ended this one.
pub(super) fn next_run(entry: &EventStoreEntry) -> Option<RunId> {
    if !is_run_ended(entry) {
        return None;
    }
    let next = str::from_utf8(&entry.payload).ok()?;
    // Any other payload is somebody else's.
    time_in(next).map(|_| next.to_owned())
}

/// The time in the id of a run that a session began: a time and eight digits. Ids of other makes have none.
pub(super) fn time_in(run_id: &str) -> Option<u64> {
    let (time, random) = run_id.split_once('-')?;
    let is_random = random.len() == 8 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_random && time.bytes().all(|byte| byte.is_ascii_digit())).then(|| time.parse().ok())?
}

/// The components that an entry says were registered when its run began.
///
/// # Errors
/// `Backend` where the entry is not the first one of a session, or its payload cannot be decoded.
pub fn registered_components(entry: &EventStoreEntry) -> Result<RegisteredComponents, EventStoreError> {
    if entry.topic.as_str() != RUN_STARTED_TOPIC || entry.payload_type.as_str() != RUN_STARTED_PAYLOAD_TYPE {
        let found = format!("{} on {}", entry.payload_type, entry.topic);
        return Err(EventStoreError::Backend(format!("the entry {} is no {RUN_STARTED_PAYLOAD_TYPE} but {found}", entry.seq)));
    }
    let config = bincode::config::standard().with_limit::<{ crate::limits::PAYLOAD_LEN_MAX }>();
    let decoded = bincode::serde::decode_from_slice(&entry.payload, config);
    let (components, read) =
        decoded.map_err(|error| EventStoreError::Backend(format!("cannot decode the components in the entry {}: {error}", entry.seq)))?;
    if read != entry.payload.len() {
        let text = format!("the entry {} has {} bytes behind its components", entry.seq, entry.payload.len() - read);
        return Err(EventStoreError::Backend(text));
    }
    Ok(components)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EntryHash;

    fn entry_of(draft: EntryDraft) -> EventStoreEntry {
        let EntryDraft { headers, topic, payload_type, payload, ts_init, .. } = draft;
        EventStoreEntry::new(EntryHash([0; 32]), 1, headers, topic, payload_type, payload, ts_init, ts_init)
    }

    #[test]
    fn the_components_come_back_from_the_first_entry() {
        let mut components = RegisteredComponents { endpoints: vec!["Risk.execute".to_owned()], ..RegisteredComponents::default() };
        components.strategies.insert("EMA-001".to_owned(), "blake3:00".to_owned());
        let mut entry = entry_of(run_started(&components, UnixNanos::new(7)).unwrap());
        assert_eq!(registered_components(&entry), Ok(components));
        entry.payload = [&entry.payload[..], b"x"].concat().into();
        assert!(registered_components(&entry).unwrap_err().to_string().contains("1 bytes behind"));
        entry.payload = Bytes::from_static(&[0xFF; 9]);
        assert!(registered_components(&entry).is_err());
        assert!(registered_components(&entry_of(run_ended(None, UnixNanos::new(7)))).is_err());
    }

    #[test]
    fn the_last_entry_tells_where_the_engine_goes_on() {
        let next = "2-0000000b".to_owned();
        let ended = entry_of(run_ended(Some(&next), UnixNanos::new(7)));
        assert!(is_run_ended(&ended));
        assert_eq!(next_run(&ended), Some(next));
        let mut closed = entry_of(run_ended(None, UnixNanos::new(7)));
        assert!(is_run_ended(&closed) && next_run(&closed).is_none());
        for other in ["../elsewhere", "normal", "2-000", "a-0000000b", "2-0000000g"] {
            closed.payload = Bytes::from_static(other.as_bytes());
            assert_eq!(next_run(&closed), None, "what no session names is none: {other}");
        }
        closed.topic = "other".into();
        assert!(!is_run_ended(&closed));
    }
}
