//! What the facades `metrics` and `tracing` are told, where these features are on.

#[cfg(feature = "metrics")]
mod metrics_facade {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex, OnceLock};

    use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use crate::entry_writer::bench::{Halts, draft, run_ended, writer};
    use crate::support::scripted_store::{Failure, Script};

    /// Adds everything up by name.
    #[derive(Debug, Clone, Default)]
    struct Sums(Arc<Mutex<BTreeMap<String, f64>>>);

    #[derive(Debug)]
    struct Named(String, Sums);

    impl Named {
        #[allow(clippy::cast_precision_loss, reason = "the numbers of a test are small")]
        fn add(&self, value: f64) {
            *self.1.0.lock().unwrap().entry(self.0.clone()).or_default() += value;
        }
    }

    impl CounterFn for Named {
        #[allow(clippy::cast_precision_loss, reason = "the numbers of a test are small")]
        fn increment(&self, value: u64) {
            self.add(value as f64);
        }
        fn absolute(&self, _: u64) {}
    }

    impl GaugeFn for Named {
        fn increment(&self, _: f64) {}
        fn decrement(&self, _: f64) {}
        fn set(&self, _: f64) {
            self.add(1.0);
        }
    }

    impl HistogramFn for Named {
        fn record(&self, _: f64) {
            self.add(1.0);
        }
    }

    impl Recorder for Sums {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(Arc::new(Named(key.name().to_owned(), self.clone())))
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(Arc::new(Named(key.name().to_owned(), self.clone())))
        }
        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(Arc::new(Named(key.name().to_owned(), self.clone())))
        }
    }

    static SUMS: OnceLock<Sums> = OnceLock::new();

    #[test]
    fn entries_batches_and_halts_are_counted() {
        let sums = SUMS.get_or_init(|| {
            let sums = Sums::default();
            metrics::set_global_recorder(sums.clone()).unwrap();
            sums
        });
        // Other tests count too: what is compared is the least that this one adds.
        let of = |name: &str| sums.0.lock().unwrap().get(name).copied().unwrap_or_default();
        let before = ["tapelog_entries_written_total", "tapelog_append_seconds", "tapelog_halts_total"].map(of);
        let (script, halts) = (Script::default(), Halts::default());
        let sound = writer(&script, &halts);
        for number in 1..=20 {
            sound.submit_and_wait(draft(number)).unwrap();
        }
        sound.close(run_ended()).unwrap();
        let failing = Script::default();
        failing.fail_appends(Failure::Disk);
        let halted = writer(&failing, &halts);
        assert!(halted.submit_and_wait(draft(1)).is_err());
        halts.first();
        let after = ["tapelog_entries_written_total", "tapelog_append_seconds", "tapelog_halts_total"].map(of);
        assert!(after[0] >= before[0] + 21.0 && after[1] >= before[1] + 21.0 && after[2] >= before[2] + 1.0, "{before:?} {after:?}");
        assert!(of("tapelog_bytes_written_total") > 21.0 * 128.0);
    }
}

#[cfg(feature = "tracing")]
mod tracing_facade {
    use std::fmt::{Debug, Write as _};
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use crate::entry_writer::bench::{Halts, draft, wait_until, writer};
    use crate::support::scripted_store::{Failure, Script};

    /// Keeps the texts of all events.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    struct Text(String);

    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            let _ = write!(self.0, "{field}={value:?} ");
        }
    }

    impl Subscriber for Kept {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut text = Text(format!("{} ", event.metadata().level()));
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_halt_is_an_error_with_its_reason() {
        let kept = Kept::default();
        tracing::subscriber::set_global_default(kept.clone()).unwrap();
        let (script, halts) = (Script::default(), Halts::default());
        script.fail_appends(Failure::Disk);
        let writer = writer(&script, &halts);
        assert!(writer.submit_and_wait(draft(1)).is_err());
        wait_until("the event", || {
            let events = kept.0.lock().unwrap();
            events.iter().any(|text| text.starts_with("ERROR") && text.contains("the writer has halted") && text.contains("full"))
        });
    }
}
