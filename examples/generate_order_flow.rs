//! Generates a session of order flow as lines of JSON, ready for `tapelog record`.
//!
//! ```text
//! cargo run --example generate_order_flow > examples/data/order_flow.ndjson
//! cargo run --example generate_order_flow -- SEED ORDERS
//! ```
//!
//! The same seed gives the same bytes on every machine: the random numbers are made here, and all
//! arithmetic is on integers. Each order lives its own life (submitted, accepted or rejected, filled in
//! parts, cancelled), and the lives are woven together by time. All messages about one order share a
//! correlation id; the causation id is the id of the message that led to this one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

const SEED: u64 = 20_260_105;
const ORDERS: u64 = 720;

/// 2026-01-05T14:30:00Z, the opening of the session.
const SESSION_START_NANOS: u64 = 1_767_623_400_000_000_000;
const ORDER_GAP_NANOS: u64 = 4_000_000_000;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (seed, orders) = match arguments.as_slice() {
        [] => (Ok(SEED), Ok(ORDERS)),
        [seed, orders] => (seed.parse(), orders.parse()),
        _ => {
            eprintln!("usage: generate_order_flow [SEED ORDERS]");
            return ExitCode::from(2);
        }
    };
    let (Ok(seed), Ok(orders)) = (seed, orders) else {
        eprintln!("SEED and ORDERS are whole numbers that fit 64 bits");
        return ExitCode::from(2);
    };
    match std::io::stdout().write_all(session(seed, orders).as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write the session: {error}");
            ExitCode::from(2)
        }
    }
}

/// What is traded. Prices are in hundredths of a point.
struct Instrument {
    id: &'static str,
    open: u64,
    tick: u64,
    lot_max: u64,
}

const INSTRUMENTS: [Instrument; 3] = [
    Instrument { id: "ESH6.XCME", open: 691_225, tick: 25, lot_max: 12 },
    Instrument { id: "NQH6.XCME", open: 2_546_050, tick: 25, lot_max: 6 },
    Instrument { id: "CLG6.XNYM", open: 5_832, tick: 1, lot_max: 20 },
];

const STRATEGIES: [&str; 3] = ["MAKER-001", "MOMENTUM-002", "HEDGE-003"];
const REJECT_REASONS: [&str; 3] = ["INSUFFICIENT_MARGIN", "PRICE_OUT_OF_BAND", "MARKET_CLOSED"];

/// A session of `orders` orders, one message a line, by ascending time.
fn session(seed: u64, orders: u64) -> String {
    let mut random = Random(seed);
    let mut timeline = Timeline::default();
    let mut markets: Vec<(&Instrument, u64)> = INSTRUMENTS.iter().map(|instrument| (instrument, instrument.open)).collect();
    let mut opens = SESSION_START_NANOS;
    for number in 1..=orders {
        opens += 1 + random.below(2 * ORDER_GAP_NANOS);
        let instrument_index = random.index(markets.len());
        let Some((instrument, last)) = markets.get_mut(instrument_index) else { continue };
        *last = walk(*last, instrument, &mut random);
        Order::new(number, instrument, *last, &mut random).live(opens, &mut random, &mut timeline);
    }
    timeline.into_lines()
}

/// Moves a price by a few ticks, and never below half of where the session opened.
fn walk(price: u64, instrument: &Instrument, random: &mut Random) -> u64 {
    let step = random.below(5) * instrument.tick;
    if random.chance(1, 2) { price + step } else { (price - step.min(price)).max(instrument.open / 2) }
}

/// One order with the ids that its messages share.
struct Order {
    client_order_id: String,
    venue_order_id: String,
    correlation_id: String,
    strategy: &'static str,
    instrument: &'static str,
    side: &'static str,
    quantity: u64,
    price: u64,
}

impl Order {
    fn new(number: u64, instrument: &Instrument, last: u64, random: &mut Random) -> Self {
        let buys = random.chance(1, 2);
        let away = random.below(4) * instrument.tick;
        Self {
            client_order_id: format!("O-20260105-{number:06}"),
            venue_order_id: format!("{}", 8_412_000_000_000 + number * 7 + random.below(7)),
            correlation_id: random.uuid(),
            strategy: STRATEGIES.get(random.index(STRATEGIES.len())).copied().unwrap_or_default(),
            instrument: instrument.id,
            side: if buys { "BUY" } else { "SELL" },
            quantity: 1 + random.below(instrument.lot_max),
            price: if buys { last - away } else { last + away },
        }
    }

    /// Puts every message about the order on the timeline.
    fn live(&self, opens: u64, random: &mut Random, timeline: &mut Timeline) {
        let mut now = opens;
        let submit = random.uuid();
        let terms = format!(
            r#""instrument_id":"{}","side":"{}","type":"LIMIT","time_in_force":"GTC","quantity":{},"price":"{}""#,
            self.instrument,
            self.side,
            self.quantity,
            decimal(self.price)
        );
        self.command("SubmitOrder", &submit, None, &terms, now, timeline);

        now += 20 * MICROSECOND + random.below(80 * MICROSECOND);
        let submitted = random.uuid();
        self.event("OrderSubmitted", &submitted, &submit, false, r#""account_id":"SIM-U1234""#, now, timeline);

        now += 2 * MILLISECOND + random.below(9 * MILLISECOND);
        let answer = random.uuid();
        if random.chance(1, 25) {
            let reason = REJECT_REASONS.get(random.index(REJECT_REASONS.len())).copied().unwrap_or_default();
            self.event("OrderRejected", &answer, &submit, false, &format!(r#""reason":"{reason}""#), now, timeline);
            return;
        }
        self.event("OrderAccepted", &answer, &submit, true, r#""account_id":"SIM-U1234""#, now, timeline);

        let cancels = random.chance(1, 3);
        let to_fill = if cancels { random.below(self.quantity) } else { self.quantity };
        let mut filled = 0;
        let mut last_message = answer;
        while filled < to_fill {
            now += 30 * MILLISECOND + random.below(20_000 * MILLISECOND);
            let quantity = 1 + random.below(to_fill - filled);
            filled += quantity;
            last_message = self.fill(quantity, filled, &last_message, now, random, timeline);
        }
        if cancels {
            now += 200 * MILLISECOND + random.below(30_000 * MILLISECOND);
            let cancel = random.uuid();
            let terms = format!(r#""instrument_id":"{}""#, self.instrument);
            self.command("CancelOrder", &cancel, Some(&last_message), &terms, now, timeline);
            now += 2 * MILLISECOND + random.below(9 * MILLISECOND);
            let details = format!(r#""leaves_quantity":{}"#, self.quantity - filled);
            self.event("OrderCanceled", &random.uuid(), &cancel, true, &details, now, timeline);
        }
    }

    fn fill(&self, quantity: u64, filled: u64, cause: &str, now: u64, random: &mut Random, timeline: &mut Timeline) -> String {
        let id = random.uuid();
        let details = format!(
            r#""trade_id":"T{:010}","last_quantity":{quantity},"last_price":"{}","filled_quantity":{filled},"leaves_quantity":{},"liquidity":"{}""#,
            random.below(10_000_000_000),
            decimal(self.price),
            self.quantity - filled,
            if random.chance(2, 3) { "MAKER" } else { "TAKER" },
        );
        let kind = if filled == self.quantity { "OrderFilled" } else { "OrderPartiallyFilled" };
        self.event(kind, &id, cause, true, &details, now, timeline);
        id
    }

    fn command(&self, kind: &str, id: &str, cause: Option<&str>, terms: &str, now: u64, timeline: &mut Timeline) {
        let payload =
            format!(r#"{{"command_id":"{id}","strategy_id":"{}","client_order_id":"{}",{terms}}}"#, self.strategy, self.client_order_id);
        // A cancel names the order as the venue does; a submit cannot yet.
        let known_at_venue = cause.is_some();
        timeline.put(now, &self.line(&format!("exec.command.{kind}"), kind, &payload, cause, known_at_venue, now));
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of the message")]
    fn event(&self, kind: &str, id: &str, cause: &str, at_venue: bool, details: &str, now: u64, timeline: &mut Timeline) {
        let payload = format!(r#"{{"event_id":"{id}","client_order_id":"{}",{details}}}"#, self.client_order_id);
        timeline.put(now, &self.line(&format!("events.order.{}", self.strategy), kind, &payload, Some(cause), at_venue, now));
    }

    fn line(&self, topic: &str, kind: &str, payload: &str, cause: Option<&str>, at_venue: bool, now: u64) -> String {
        let mut line = format!(r#"{{"topic":"{topic}","payload_type":"{kind}","ts_init":{now},"correlation_id":"{}""#, self.correlation_id);
        if let Some(cause) = cause {
            let _ = write!(line, r#","causation_id":"{cause}""#);
        }
        let _ = write!(line, r#","client_order_id":"{}""#, self.client_order_id);
        if at_venue {
            let _ = write!(line, r#","venue_order_id":"{}""#, self.venue_order_id);
        }
        let _ = writeln!(line, r#","payload":{payload}}}"#);
        line
    }
}

/// Hundredths as a decimal number with two places.
fn decimal(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Lines by time; lines of the same time stay in the order in which they were put.
#[derive(Default)]
struct Timeline {
    lines: BTreeMap<u64, String>,
}

impl Timeline {
    fn put(&mut self, time: u64, line: &str) {
        self.lines.entry(time).or_default().push_str(line);
    }

    fn into_lines(self) -> String {
        self.lines.into_values().collect()
    }
}

/// The generator `SplitMix64`: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero. The tiny bias of the remainder does no harm here.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len.max(1) as u64)).unwrap_or(0)
    }

    fn chance(&mut self, favourable: u64, of: u64) -> bool {
        self.below(of) < favourable
    }

    /// A version 4 UUID.
    fn uuid(&mut self) -> String {
        let high = (self.next() & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000;
        let low = (self.next() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000;
        format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xFFFF, high & 0xFFFF, low >> 48, low & 0xFFFF_FFFF_FFFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field `name` of a line, as it stands there, without the quotes of a string.
    fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
        let start = line.find(&format!("\"{name}\":"))? + name.len() + 3;
        let rest = line[start..].trim_start_matches('"');
        rest.split(['"', ',', '}']).next()
    }

    #[test]
    fn the_committed_session_is_what_the_generator_gives() {
        let committed = include_str!("data/order_flow.ndjson");
        assert!(session(SEED, ORDERS) == committed, "run: cargo run --example generate_order_flow > examples/data/order_flow.ndjson");
    }

    #[test]
    fn another_seed_gives_another_session() {
        assert_ne!(session(1, 5), session(2, 5));
    }

    #[test]
    fn the_session_is_a_few_thousand_lines_by_ascending_time() {
        let lines = session(SEED, ORDERS);
        let times: Vec<u64> = lines.lines().map(|line| field(line, "ts_init").unwrap().parse().unwrap()).collect();
        assert!((3_500..5_000).contains(&times.len()), "{} lines", times.len());
        assert!(times.is_sorted());
    }

    #[test]
    fn every_kind_of_message_occurs() {
        let lines = session(SEED, ORDERS);
        for kind in [
            "SubmitOrder",
            "CancelOrder",
            "OrderSubmitted",
            "OrderAccepted",
            "OrderRejected",
            "OrderPartiallyFilled",
            "OrderFilled",
            "OrderCanceled",
        ] {
            let count = lines.lines().filter(|line| field(line, "payload_type") == Some(kind)).count();
            assert!(count >= 20, "{kind} occurs {count} times");
        }
    }

    #[test]
    fn a_cause_stands_before_what_it_led_to() {
        let mut seen = std::collections::HashSet::new();
        for line in session(SEED, ORDERS).lines() {
            if let Some(cause) = field(line, "causation_id") {
                assert!(seen.contains(cause), "{cause} is not known yet");
            }
            let id = field(line, "command_id").or_else(|| field(line, "event_id")).unwrap();
            assert!(seen.insert(id.to_owned()), "{id} occurs twice");
        }
    }
}
