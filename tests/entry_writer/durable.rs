//! An entry is acknowledged when it is durable, and not before.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tapelog::WaitError;

use super::bench::{Halts, SOON, draft, run_ended, wait_until, writer};
use crate::support::scripted_store::{Failure, Script};

const A_MOMENT: Duration = Duration::from_millis(20);

/// Wakes a thread that is parked.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park_timeout(SOON),
        }
    }
}

#[test]
fn a_receipt_is_open_until_the_store_has_synced() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    script.close_gate();
    let receipts: Vec<_> = (1..=3).map(|number| writer.submit_tracked(draft(number)).unwrap()).collect();
    script.wait_until_at_gate();
    assert_eq!(receipts.iter().map(tapelog::Receipt::seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(receipts.iter().all(|receipt| receipt.poll_durable().is_none()));
    assert_eq!(receipts[0].wait_timeout(A_MOMENT), Err(WaitError::TimedOut));
    assert_eq!(writer.wait_durable(1, A_MOMENT), Err(WaitError::TimedOut));
    assert!(writer.flush(A_MOMENT).unwrap_err().to_string().contains("goes on in the background"));
    script.open_gate();
    assert_eq!(receipts[2].wait(), Ok(3));
    assert_eq!(receipts[0].poll_durable(), Some(Ok(1)));
    assert_eq!((writer.wait_durable(3, Duration::ZERO), writer.high_watermark()), (Ok(()), 3));
}

#[test]
fn a_receipt_is_a_future_for_any_runtime() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    script.close_gate();
    let receipts: Vec<_> = (1..=3).map(|number| writer.submit_tracked(draft(number)).unwrap()).collect();
    let opener = {
        let script = script.clone();
        std::thread::spawn(move || {
            std::thread::sleep(A_MOMENT);
            script.open_gate();
        })
    };
    for (receipt, seq) in receipts.into_iter().rev().zip([3, 2, 1]) {
        assert_eq!(block_on(receipt), Ok(seq));
    }
    opener.join().unwrap();
    // One that is given up while its waker is left behind takes nobody with it.
    script.close_gate();
    let mut given_up = Box::pin(writer.submit_tracked(draft(4)).unwrap());
    assert!(given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(given_up);
    let last = writer.submit_tracked(draft(5)).unwrap();
    script.open_gate();
    assert_eq!(block_on(last), Ok(5));
}

#[test]
fn a_halt_wakes_everyone_who_waits_with_the_reason() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    assert_eq!(writer.submit_and_wait(draft(1)), Ok(1));
    script.close_gate();
    let [first, second, third] = [2, 3, 4].map(|number| writer.submit_tracked(draft(number)).unwrap());
    script.wait_until_at_gate();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| second.wait());
        let polls = scope.spawn(|| block_on(third));
        let flushes = scope.spawn(|| writer.flush(SOON));
        std::thread::sleep(A_MOMENT);
        script.fail_appends(Failure::Disk);
        script.open_gate();
        assert!(matches!(waits.join().unwrap(), Err(WaitError::Halted(_))));
        assert!(matches!(polls.join().unwrap(), Err(WaitError::Halted(_))));
        assert!(matches!(flushes.join().unwrap(), Err(tapelog::EventStoreError::Disk(text)) if text.contains("halted")));
    });
    assert!(matches!(first.poll_durable(), Some(Err(WaitError::Halted(_)))));
    // What was acknowledged before stays so.
    assert_eq!((writer.wait_durable(1, Duration::ZERO), writer.high_watermark()), (Ok(()), 1));
}

#[test]
fn the_end_of_the_writer_ends_the_wait_for_what_never_came() {
    let (script, halts) = (Script::default(), Halts::default());
    let writer = writer(&script, &halts);
    let receipt = writer.submit_tracked(draft(1)).unwrap();
    assert_eq!(writer.shutdown(&run_ended(), SOON), Ok(2));
    assert_eq!(receipt.wait(), Ok(1));
    assert_eq!(writer.wait_durable(3, SOON), Err(WaitError::Closed));
}

#[test]
fn a_store_that_syncs_later_acknowledges_later() {
    let (script, halts) = (Script::default(), Halts::default());
    script.buffer();
    let writer = writer(&script, &halts);
    let receipt = writer.submit_tracked(draft(1)).unwrap();
    wait_until("the append", || script.batches().len() == 1);
    assert_eq!(receipt.wait_timeout(A_MOMENT), Err(WaitError::TimedOut));
    script.sync_in_background();
    assert_eq!(receipt.wait_timeout(SOON), Ok(1), "found without another message");
    writer.submit(draft(2)).unwrap();
    assert_eq!(writer.flush(SOON), Ok(2), "a flush syncs");
    writer.submit(draft(3)).unwrap();
    let anchor = writer.record_snapshot_anchor("blob", "hash").unwrap();
    assert_eq!(anchor.high_watermark, 3, "an anchor does too");
    assert_eq!(writer.close(run_ended()), Ok(4));
}

#[test]
fn a_store_that_fails_to_sync_later_halts_the_writer_without_another_message() {
    let (script, halts) = (Script::default(), Halts::default());
    script.buffer();
    let writer = writer(&script, &halts);
    let receipt = writer.submit_tracked(draft(1)).unwrap();
    wait_until("the append", || script.batches().len() == 1);
    script.fail_syncs();
    assert!(matches!(receipt.wait_timeout(SOON), Err(WaitError::Halted(_))));
    assert_eq!(halts.told().len(), 1);
}
