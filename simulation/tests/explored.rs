//! A small share of the exploration, with every run of the tests.

use tapelog_simulation::explore::explorations::{Exhaustive, Faults, Lives};
use tapelog_simulation::explore::lives;
use tapelog_simulation::oracle::Oracle;
use tapelog_simulation::progress::Progress;
use tapelog_simulation::runner::{Exploration, Findings, run};

fn explore(exploration: &dyn Exploration) -> Findings {
    let findings = run(exploration, 2, Progress::Silent);
    for failure in &findings.failures {
        eprintln!("{}: {}\n{}", failure.shrunk, failure.shrunk_broken, failure.command());
    }
    assert_eq!(findings.broken, 0);
    findings
}

#[test]
fn no_crash_in_a_history_of_one_operation_breaks_a_promise() {
    let findings = explore(&Exhaustive::new(1));
    assert_eq!(findings.coverage.histories, 8 + 64);
    assert!(findings.counts.disks > 4_000, "{:?}", findings.counts);
}

#[test]
fn no_crash_in_long_histories_breaks_a_promise() {
    let findings = explore(&Lives { seeds: 1_000_000..1_000_060 });
    assert!(findings.counts.crashed_again > 0 && findings.counts.swept > 0 && findings.coverage.faults > 0, "{findings:?}");
}

#[test]
fn no_fault_makes_a_false_acknowledgement() {
    let findings = explore(&Faults { one_of: 97 });
    assert!(findings.coverage.faults > 100, "{:?}", findings.coverage);
}

/// Without it a seed would say nothing.
#[test]
fn a_seed_decides_everything() {
    let figures = |seed: u64| {
        let mut oracle = Oracle::default();
        let coverage = lives::explore(&lives::history(seed), &mut oracle).unwrap();
        (coverage, oracle.counts)
    };
    for seed in 0..12 {
        assert_eq!(figures(seed), figures(seed), "seed {seed}");
    }
}
