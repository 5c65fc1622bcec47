//! Which entries are shown: the options that `cat` and `follow` share, and their test on an entry.

mod key;
mod pattern;

use clap::Args;
use glob::Pattern;
use tapelog::{IndexKey, UnixNanos};
use uuid::Uuid;

pub use key::parse_key;

use crate::entry::Entry;
use crate::exit::Failure;
use crate::input::parse_time_argument;
use crate::output::TimeForm;
use pattern::parse_pattern;

/// The entries that are asked for. An entry has to pass every option that is given.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which entries")]
pub struct Filter {
    /// The first entry to show: of a chain in each run, with `follow` in the first run alone
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub from: u64,
    /// The last entry to show: of a chain in each run; with `follow` in the first run, and none is shown behind it [default:
    /// the last there is]
    #[arg(long, value_name = "SEQ", default_value_t = u64::MAX, hide_default_value = true)]
    pub to: u64,
    /// Only entries whose `ts_init` is TIME or later: RFC 3339, `2026-01-05 15:00:00` in UTC, `2026-01-05` for its
    /// midnight, or whole nanoseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_time_argument)]
    pub since: Option<UnixNanos>,
    /// Only entries whose `ts_init` is TIME or earlier
    #[arg(long, value_name = "TIME", value_parser = parse_time_argument)]
    pub until: Option<UnixNanos>,
    /// Only entries of a topic that GLOB matches as a whole: `*` any text, `?` one character, `[abc]` or `[a-c]` one of
    /// these, `[!abc]` one other, `[*]` the character itself. Given more than once, one of the globs has to match
    #[arg(long = "topic", value_name = "GLOB", value_parser = parse_pattern)]
    pub topics: Vec<Pattern>,
    /// Only entries of a payload type that GLOB matches. Given more than once, one of the globs has to match
    #[arg(long = "type", value_name = "GLOB", value_parser = parse_pattern)]
    pub payload_types: Vec<Pattern>,
    /// Only entries that bring this key: `client_order_id=VALUE` or `venue_order_id=VALUE`. Given more than once, one of
    /// them
    #[arg(long = "key", value_name = "KIND=VALUE", value_parser = parse_key)]
    pub keys: Vec<IndexKey>,
    /// Only entries with this `correlation_id`
    #[arg(long, value_name = "UUID", value_parser = parse_uuid)]
    pub correlation: Option<Uuid>,
    /// Show at most this many entries
    #[arg(long, value_name = "COUNT", default_value_t = u64::MAX, hide_default_value = true)]
    pub limit: u64,
}

impl Filter {
    /// Refuses bounds between which there can be no entry.
    ///
    /// # Errors
    ///
    /// Which bounds these are.
    pub fn check(&self) -> Result<(), Failure> {
        if self.to == 0 {
            return Err(Failure::new("--to 0 leaves no entry: the first one has the number 1"));
        }
        if self.from > self.to {
            return Err(Failure::new(format!("--from {} lies behind --to {}: no entry is between them", self.from, self.to)));
        }
        match self.since.zip(self.until) {
            Some((since, until)) if since > until => {
                let [since, until] = [since, until].map(|time| TimeForm::Rfc3339.of(time));
                Err(Failure::new(format!("--since {since} lies behind --until {until}: no entry is between them")))
            }
            _ => Ok(()),
        }
    }

    /// Whether anything but the limit is asked for.
    pub fn chooses(&self) -> bool {
        self.from > 1
            || self.to < u64::MAX
            || self.since.is_some()
            || self.until.is_some()
            || self.correlation.is_some()
            || !self.keys.is_empty()
            || !self.topics.is_empty()
            || !self.payload_types.is_empty()
    }

    /// The same without the bounds on numbers, which are of one run alone.
    pub fn without_bounds(&self) -> Self {
        Self { from: 1, to: u64::MAX, ..self.clone() }
    }

    /// Whether the entry's own fields are what is asked for.
    ///
    /// The limit is not judged here: it counts what was shown. An entry that is too late says nothing about those behind it,
    /// because `ts_init` need not ascend.
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        (self.from..=self.to).contains(&entry.seq)
            && self.since.is_none_or(|since| entry.ts_init >= since)
            && self.until.is_none_or(|until| entry.ts_init <= until)
            && self.correlation.is_none_or(|id| entry.headers.correlation_id == Some(id))
            && (self.keys.is_empty() || entry.keys.bring_one_of(&self.keys))
            && any_matches(&self.topics, entry.topic)
            && any_matches(&self.payload_types, entry.payload_type)
    }
}

/// No pattern at all asks for nothing in particular.
fn any_matches(patterns: &[Pattern], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
}

fn parse_uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text).map_err(|error| format!("not a UUID, such as 11111111-2222-4333-8444-555555555555: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tapelog::{EntryHash, Headers};

    use super::*;
    use crate::entry::Keys;

    #[derive(Parser)]
    #[command(args_override_self = true)]
    struct CommandLine {
        #[command(flatten)]
        filter: Filter,
    }

    fn filter(arguments: &[&str]) -> Filter {
        CommandLine::try_parse_from([&["x"], arguments].concat()).unwrap_or_else(|error| panic!("{error}")).filter
    }

    fn entry<'a>(seq: u64, ts_init: u64, topic: &'a str, payload_type: &'a str) -> Entry<'a> {
        Entry {
            run_id: None,
            seq,
            ts_init: UnixNanos::from(ts_init),
            ts_publish: UnixNanos::default(),
            topic,
            payload_type,
            headers: Headers { correlation_id: Some(Uuid::from_u128(7)), causation_id: Some(Uuid::from_u128(8)) },
            keys: Keys::Listed(&[]),
            payload: b"",
            hash: EntryHash([0; 32]),
        }
    }

    fn passes(arguments: &[&str]) -> bool {
        filter(arguments).matches(&entry(5, 1000, "events.order.BTC", "OrderFilled"))
    }

    #[test]
    fn without_an_option_every_entry_passes() {
        assert!(passes(&[]));
    }

    #[test]
    fn both_ends_of_a_span_belong_to_it() {
        assert!(passes(&["--since", "1000", "--until", "1000"]));
        assert!(passes(&["--since", "1970-01-01T00:00:00.000001Z", "--until", "1970-01-01T00:00:00.000001Z"]));
        assert!(!passes(&["--since", "1001"]));
        assert!(!passes(&["--until", "999"]));
        assert!(passes(&["--from", "5", "--to", "5"]));
        assert!(!passes(&["--from", "6"]));
        assert!(!passes(&["--to", "4"]));
        assert!(passes(&["--from", "0"]));
    }

    #[test]
    fn one_of_several_globs_is_enough_and_all_options_have_to_pass() {
        assert!(passes(&["--topic", "events.*"]));
        assert!(passes(&["--topic", "*.BTC", "--type", "Order????ed"]));
        assert!(passes(&["--topic", "nothing", "--topic", "events.order.[A-C]TC"]));
        assert!(!passes(&["--topic", "events"]), "a glob matches the whole topic");
        assert!(!passes(&["--topic", "EVENTS.*"]), "a glob tells capitals from small letters");
        assert!(!passes(&["--topic", "events.*", "--type", "Position*"]));
    }

    #[test]
    fn a_slash_is_a_character_like_any_other() {
        assert!(filter(&["--topic", "md*BTC"]).matches(&entry(1, 1, "md/l2/BTC", "t")));
    }

    #[test]
    fn a_correlation_is_no_causation() {
        assert!(passes(&["--correlation", &Uuid::from_u128(7).to_string()]));
        assert!(!passes(&["--correlation", &Uuid::from_u128(8).to_string()]));
    }

    #[test]
    fn a_value_that_is_wrong_is_told_with_its_option() {
        for (arguments, parts) in [
            (["--since", "yesterday"], ["--since", "RFC 3339"]),
            (["--until", "18446744073709551616"], ["--until", "do not fit 64 bits"]),
            (["--topic", "a["], ["--topic", "not a glob"]),
            (["--type", "a***"], ["--type", "not a glob"]),
            (["--correlation", "x"], ["--correlation", "not a UUID"]),
            (["--limit", "many"], ["--limit", "invalid digit"]),
        ] {
            let Err(error) = CommandLine::try_parse_from([&["x"], &arguments[..]].concat()) else { panic!("{arguments:?} was taken") };
            for part in parts {
                assert!(error.to_string().contains(part), "{arguments:?}: {error}");
            }
        }
    }
}
