//! Anchors and flushes stand in their place among the messages.

use std::sync::atomic::{AtomicBool, Ordering};

use super::bench::{Halts, SOON, draft, run_ended, writer};
use crate::support::scripted_store::Script;

#[test]
fn an_anchor_covers_what_was_submitted_before_it_and_nothing_else() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    script.close_gate();
    (1..=5).for_each(|number| writer.submit(draft(number)).unwrap());
    script.wait_until_at_gate();
    let anchor = std::thread::scope(|scope| {
        let anchors = scope.spawn(|| writer.record_snapshot_anchor("blob", "hash"));
        // The request is in its place once more stands behind it.
        super::bench::wait_until("the request", || {
            writer.submit(draft(6)).unwrap();
            writer.stats().waiting > 6
        });
        std::thread::sleep(std::time::Duration::from_millis(5));
        script.open_gate();
        anchors.join().unwrap().unwrap()
    });
    let last = writer.last_submitted();
    assert!(anchor.high_watermark >= 5 && anchor.high_watermark <= last, "{anchor:?} {last}");
    assert_eq!(writer.close(run_ended()), Ok(last + 1));
}

#[test]
fn an_anchor_between_two_messages_of_a_thread_covers_the_first_alone() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    for number in 1..=200 {
        writer.submit(draft(number)).unwrap();
        let anchor = writer.record_snapshot_anchor(format!("blob-{number}"), "hash").unwrap();
        assert_eq!(anchor.high_watermark, number);
    }
    assert_eq!(script.entries().len(), 200);
}

#[test]
fn requests_of_many_threads_among_messages_are_all_answered() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (writer, stop) = (&writer, &stop);
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    writer.submit(draft(thread * 1_000_000 + number)).unwrap();
                    number += 1;
                }
            });
        }
        let flushing: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let before = writer.last_submitted();
                        let flushed = writer.flush(SOON).unwrap();
                        assert!(flushed >= before, "{flushed} {before}");
                        assert!(writer.high_watermark() >= flushed);
                    }
                })
            })
            .collect();
        let mut last = 0;
        for _ in 0..100 {
            let before = writer.last_submitted();
            let anchor = writer.record_snapshot_anchor("blob", "hash").unwrap();
            assert!(anchor.high_watermark >= before && anchor.high_watermark >= last);
            last = anchor.high_watermark;
        }
        for thread in flushing {
            thread.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let submitted = writer.last_submitted();
    assert_eq!(writer.close(run_ended()), Ok(submitted + 1));
    assert_eq!(script.entries().len() as u64, submitted + 1);
    assert!(halts.told().is_empty());
}
