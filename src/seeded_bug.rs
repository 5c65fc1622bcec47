//! Bugs that are seeded on purpose, to put a search for bugs to the test: one that does not find
//! these would not find real ones.
//!
//! Each is a mistake that could be made in this code, a line that is left out or a check that is
//! forgotten. A build with `RUSTFLAGS="--cfg tapelog_seeded_bugs"` can switch one of them on while it
//! runs. In every other build each switch is the constant `false`, and the compiler removes it with
//! what stands behind it.

#[cfg(tapelog_seeded_bugs)]
use std::cell::Cell;

/// The environment variable that names the bug with which every thread begins.
#[cfg(tapelog_seeded_bugs)]
pub const ENVIRONMENT_VARIABLE: &str = "TAPELOG_SEEDED_BUG";

/// Writes the catalogue once, so that no bug can be missing from `ALL` or be without a name.
macro_rules! catalogue {
    ($($(#[doc = $says:literal])+ $bug:ident = $name:literal,)+) => {
        /// A mistake, and what it would cost whoever relies on the log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum SeededBug {
            $($(#[doc = $says])+ $bug,)+
        }

        #[cfg(any(test, tapelog_seeded_bugs))]
        impl SeededBug {
            /// Every bug, in the order of the way of an entry: written, synced, judged, repaired, sealed, read.
            pub const ALL: &[Self] = &[$(Self::$bug),+];

            /// The name, in lower case with hyphens. It stays what it is.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)+
                }
            }

            /// The mistake, and what it would cost.
            #[must_use]
            pub fn says(self) -> &'static str {
                let says = match self {
                    $(Self::$bug => concat!($($says),+),)+
                };
                says.trim_start()
            }
        }
    };
}

catalogue! {
    /// An append returns without its sync: a loss of power takes back what was acknowledged.
    AcknowledgeBeforeSync = "acknowledge-before-sync",
    /// A buffered run publishes what it wrote as durable: a loss of power takes back what was acknowledged.
    BufferedAcknowledgesWritten = "buffered-acknowledges-written",
    /// A buffered run syncs only its newest segment: a loss of power takes the end of the one before, and with it all behind.
    OnlyNewestSegmentSynced = "only-newest-segment-synced",
    /// An append that would pass the bound of unsynced bytes publishes what is written instead of syncing it: a loss of power takes
    /// back what was acknowledged.
    UnsyncedBoundPublishesWritten = "unsynced-bound-publishes-written",
    /// An anchor of a buffered run returns without its sync: a loss of power takes it back, and replay begins at another place.
    AnchorNotSyncedWhenBuffered = "anchor-not-synced-when-buffered",
    /// A failed sync of the active segment is taken for a good one: what it lost is acknowledged.
    SyncErrorIgnored = "sync-error-ignored",
    /// A failed sync of the active segment is tried again, and the second answer, which says nothing of what the first one
    /// lost, is believed.
    SyncRetriedAfterFailure = "sync-retried-after-failure",
    /// A failed write to the active segment is taken for a good one: what was never written is acknowledged.
    WriteErrorIgnored = "write-error-ignored",
    /// The store goes on after a failure that leaves the state of the disk in doubt: what follows is acknowledged upon lost bytes.
    LatchLeftOpen = "latch-left-open",
    /// A failed write to WATERMARK is reported and nothing more: appends go on upon a disk that fails.
    WatermarkErrorNotLatched = "watermark-error-not-latched",
    /// A write that took a part of its bytes is taken for all of them: the rest of the batch is zeros, and acknowledged.
    ShortWriteBelieved = "short-write-believed",
    /// A commit claims that it is durable itself: a batch of which a loss of power left only the commit condemns a sound run.
    ClaimTooHigh = "claim-too-high",
    /// A commit claims what is written before it and not what is durable: a buffered run that loses unsynced batches is condemned.
    ClaimOfWritten = "claim-of-written",

    /// A spare gets its name without a sync of its bytes: the first write to it may outlive its header page, and the run is condemned.
    SpareNotSynced = "spare-not-synced",
    /// What a spare is made longer by for a batch larger than a segment is not made durable: that batch is written behind the durable
    /// length of its file, and its sync alone has to save both.
    JumboExtensionNotSynced = "jumbo-extension-not-synced",
    /// The name of a spare is not made durable: a loss of power takes the whole segment with what was acknowledged in it.
    SpareFolderNotSynced = "spare-folder-not-synced",
    /// The names of new folders are not made durable: a loss of power takes the whole run.
    ParentFolderNotSynced = "parent-folder-not-synced",
    /// A run that is found sealed when it is opened again is taken for it although its seal may still be taken back: a child goes on
    /// from a seal that is none.
    SealNotConfirmedAtReopening = "seal-not-confirmed-at-reopening",
    /// A child takes its parent's seal for durable: a loss of power leaves a child that names the root of a seal that is none.
    SealNotConfirmedByChild = "seal-not-confirmed-by-child",
    /// The sweep at boot takes a seal that it finds for durable: a loss of power takes back what it has told.
    SealNotConfirmedBySweep = "seal-not-confirmed-by-sweep",
    /// The name of a folder that an earlier process made and did not live to sync is taken for durable: a loss of power takes the run.
    FoundFolderNotSynced = "found-folder-not-synced",
    /// A replaced file gets its name without a sync of its bytes: after a loss of power MANIFEST is there and empty.
    ReplacedFileNotSynced = "replaced-file-not-synced",
    /// The name of a replaced file is not made durable: a loss of power takes MANIFEST, and a sound run is condemned.
    ReplacedFolderNotSynced = "replaced-folder-not-synced",
    /// A failed sync of the run's folder is taken for a good one: a segment may be written that has no durable name.
    FolderSyncErrorIgnored = "folder-sync-error-ignored",
    /// The lock is let go as soon as it is taken: a second process recovers, and cuts, a run that is being written.
    LockNotHeld = "lock-not-held",
    /// A folder that lost its MANIFEST is taken for one in which nothing was ever created: a new run replaces what is there.
    LostManifestTakenForNew = "lost-manifest-taken-for-new",

    /// WATERMARK is written before the sync of what it tells: a loss of power between the two condemns a sound run.
    WatermarkBeforeSync = "watermark-before-sync",
    /// WATERMARK is never written again: damage in the last acknowledged batches is cut away as a torn tail.
    WatermarkStuck = "watermark-stuck",
    /// WATERMARK is written and never synced: after a loss of power, damage in the last acknowledged batches is cut away.
    WatermarkNotSynced = "watermark-not-synced",
    /// Of two valid slots the older one is believed: damage in what only the newer one tells is cut away.
    OlderSlotBelieved = "older-slot-believed",
    /// A WATERMARK of another run is believed: a sound run is condemned by what is true of another.
    ForeignWatermarkBelieved = "foreign-watermark-believed",

    /// The checksum of a frame's header is not compared: frames of another place or segment are accepted, and damage goes unseen.
    HeaderCrcSkipped = "header-crc-skipped",
    /// The checksum of a frame's body is not compared: damaged index keys are read as if they were right.
    BodyCrcSkipped = "body-crc-skipped",
    /// The padding behind a frame's body is not looked at: damage there goes unseen.
    PaddingUnchecked = "padding-unchecked",
    /// The root of a commit is believed and not computed: records that were exchanged or altered under right checksums are accepted.
    RootUnchecked = "root-unchecked",
    /// The number of records in a batch is not compared: a batch of which a part is missing is accepted.
    CountUnchecked = "count-unchecked",
    /// The number of a commit is not compared: a commit that skips others is accepted, as if nothing were missing.
    CommitNumberUnchecked = "commit-number-unchecked",
    /// An OPEN is believed that does not continue the segment before: lost batches become a hole in the log.
    OpenUnchecked = "open-unchecked",
    /// A read that brought a part of what was asked is taken for the end of the file: what lies behind counts as never written.
    ShortReadBelieved = "short-read-believed",
    /// That a full segment is shorter than the next one says goes unseen: a run opens as sound that has lost entries.
    LengthUnchecked = "length-unchecked",
    /// Opening believes WATERMARK without a look at the commit that it names: damage of that commit goes unseen.
    QuickOpeningBelievesTheSlot = "quick-opening-believes-the-slot",
    /// A segment that lost its header page is taken for a sound one: damage to what was durable is not reported.
    LostHeaderPageIgnored = "lost-header-page-ignored",
    /// A folder under a wrong name is opened: one run's files pass for those of another.
    FolderNameUnchecked = "folder-name-unchecked",

    /// A damaged commit behind the end of the chain testifies: a claim that nobody made condemns a sound run.
    InvalidCommitBelieved = "invalid-commit-believed",
    /// Commits behind the end of the chain do not testify: damage in acknowledged batches is cut away as a torn tail.
    CommitsBehindUnseen = "commits-behind-unseen",
    /// Commits in later segments do not testify: damage at the end of a full segment is cut away with all segments behind it.
    ClaimsOnlyOfThisSegment = "claims-only-of-this-segment",
    /// The end and what is proven are compared by entries and not by commits: an acknowledged anchor that is damaged is cut away.
    AnchorIgnoredByJudge = "anchor-ignored-by-judge",
    /// Damage to acknowledged data is repaired as a torn tail: what was behind it is gone, and nobody is told.
    DamageCutAway = "damage-cut-away",

    /// Recovery does not write again what it judged whole: a loss of power takes what it has just reported to be there.
    TailNotRewritten = "tail-not-rewritten",
    /// Recovery syncs what it judged whole and does not write it again: bytes that a failed sync left only in memory are lost later.
    TailSyncedWithoutRewrite = "tail-synced-without-rewrite",
    /// Recovery writes again what it judged whole and does not sync it: a loss of power takes what it has reported to be there.
    TailRewrittenNotSynced = "tail-rewritten-not-synced",
    /// Recovery leaves what it discarded on the disk, where it may testify or be read again.
    DiscardedNotZeroed = "discarded-not-zeroed",
    /// Recovery discards in the first segment only: what lies in later ones may testify or be read again.
    OnlyFirstLeftoverZeroed = "only-first-leftover-zeroed",
    /// Recovery overwrites what it discarded and does not sync that: after a loss of power it is there again.
    ZerosNotSynced = "zeros-not-synced",
    /// Recovery syncs only the last of the segments in which it discarded something: after a loss of power the rest is there again.
    OnlyLastLeftoverSynced = "only-last-leftover-synced",
    /// Recovery does not witness the end that it reports: damage there is cut away by the next recovery.
    RecoveryWatermarkNotWritten = "recovery-watermark-not-written",
    /// Recovery witnesses the end in one slot only: if that is lost, the older one is believed.
    RecoveryOneSlotOnly = "recovery-one-slot-only",

    /// The seal does not sync what a buffered run has written: a loss of power leaves a sealed run with lost entries.
    SealBeforeSync = "seal-before-sync",
    /// The seal puts MANIFEST in place before the steps that it stands for: a crash leaves a sealed run with spares and a tail.
    SealManifestFirst = "seal-manifest-first",
    /// The seal leaves the spares: a sealed run has segments that its table does not know.
    SparesLeftAtSeal = "spares-left-at-seal",
    /// The seal does not sync the cut: after a loss of power the last segment of a sealed run is longer than its table says.
    CutNotSynced = "cut-not-synced",
    /// A damaged run can be sealed as anything: the damage is forgotten.
    DamageSealedAsSound = "damage-sealed-as-sound",

    /// A reader that asked for what is durable is shown what is written: a loss of power can take back what it saw.
    UnprovenShown = "unproven-shown",
    /// A reader beside the writer is shown what is written: a loss of power can take back what it saw.
    ReaderShowsWritten = "reader-shows-written",
    /// A tail is shown what is written although it waits for what is durable: a loss of power can take back what it saw.
    TailShowsWritten = "tail-shows-written",
    /// A look-up in a run that is being written finds keys of entries that are not durable: a loss of power can take them back.
    KeysOfWritten = "keys-of-written",
    /// A follower goes on behind what the writer says is durable: a loss of power can take back what it has shown.
    FollowerPastTheBound = "follower-past-the-bound",
    /// A follower shows the entries of a batch before its commit has passed: what is torn is shown.
    FollowerShowsUnjudged = "follower-shows-unjudged",
    /// The hash of an entry is not computed when it is read: an entry that is not what its hash says is served.
    EntryHashUnchecked = "entry-hash-unchecked",
    /// A later entry wins over the first one that was recorded with a key: a look-up answers the wrong entry.
    WrongFirstKey = "wrong-first-key",
    /// An index of another segment, or of another state of this one, is believed: look-ups miss keys that are there.
    IndexBelievedUnbound = "index-believed-unbound",
    /// A full segment gets its indexes before it is durable: a loss of power leaves an index of entries that are gone.
    IndexBeforeDurability = "index-before-durability",
    /// The checksum of an index is not compared: look-ups miss keys that are there.
    IndexChecksumUnchecked = "index-checksum-unchecked",
}

#[cfg(tapelog_seeded_bugs)]
thread_local! {
    /// A thread of its own for each search lets several run side by side.
    static SWITCHED_ON: Cell<Option<SeededBug>> = Cell::new({
        let bug = of_the_environment();
        assert!(bug.is_ok(), "{bug:?}");
        bug.unwrap_or_default()
    });
}

/// Switches one bug on for this thread, or none.
///
/// Other threads go on with theirs. A store is to be driven on one thread, and its background by hand.
#[cfg(tapelog_seeded_bugs)]
pub fn switch_on(bug: Option<SeededBug>) {
    SWITCHED_ON.set(bug);
}

/// The bug that is switched on for this thread.
#[cfg(tapelog_seeded_bugs)]
#[must_use]
pub fn switched_on() -> Option<SeededBug> {
    SWITCHED_ON.get()
}

#[cfg(any(test, tapelog_seeded_bugs))]
impl SeededBug {
    /// The bug of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name)
    }
}

/// The bug that the environment names, with which ordinary tests can be run.
///
/// # Errors
/// Where there is no bug of that name.
#[cfg(tapelog_seeded_bugs)]
pub fn of_the_environment() -> Result<Option<SeededBug>, String> {
    let Some(name) = std::env::var_os(ENVIRONMENT_VARIABLE).filter(|name| !name.is_empty()) else { return Ok(None) };
    let bug = name.to_str().and_then(SeededBug::from_name);
    let names = || SeededBug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    bug.map(Some)
        .ok_or_else(|| format!("{ENVIRONMENT_VARIABLE} is {}, which is no seeded bug: expected one of {}", name.display(), names()))
}

#[cfg(tapelog_seeded_bugs)]
impl SeededBug {
    /// Whether the bug is switched on for this thread.
    pub(crate) fn is_on(self) -> bool {
        switched_on() == Some(self)
    }
}

#[cfg(not(tapelog_seeded_bugs))]
impl SeededBug {
    /// No bug is ever on in this build.
    #[inline]
    #[expect(clippy::unused_self, reason = "which bug it is counts only in a build in which it can be switched on")]
    pub(crate) const fn is_on(self) -> bool {
        false
    }
}

impl SeededBug {
    /// Passes an error on that the bug ignores.
    #[inline]
    pub(crate) fn hides<E>(self, error: E) -> Result<(), E> {
        if self.is_on() { Ok(()) } else { Err(error) }
    }
}

/// Does a step that the bug leaves out.
#[inline]
pub(crate) fn unless<E>(bug: SeededBug, step: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    if bug.is_on() { Ok(()) } else { step() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_stands_once_in_the_catalogue_at_its_place() {
        assert!(SeededBug::ALL.iter().enumerate().all(|(index, bug)| *bug as usize == index));
    }

    #[test]
    fn every_name_leads_back_to_its_bug_and_can_be_typed() {
        for bug in SeededBug::ALL {
            assert_eq!(SeededBug::from_name(bug.name()), Some(*bug));
            assert!(bug.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", bug.name());
            assert!(bug.says().ends_with('.') && !bug.says().starts_with(' '), "{}", bug.says());
        }
        assert_eq!(SeededBug::from_name("no-such-bug"), None);
    }

    #[test]
    fn a_name_is_that_of_the_variant() {
        for bug in SeededBug::ALL {
            assert_eq!(bug.name().replace('-', ""), format!("{bug:?}").to_ascii_lowercase());
        }
    }

    #[cfg(not(tapelog_seeded_bugs))]
    #[test]
    fn nothing_is_on_and_nothing_is_left_out_in_an_ordinary_build() {
        for bug in SeededBug::ALL {
            assert!(!bug.is_on());
            assert_eq!(bug.hides("error"), Err("error"));
            assert_eq!(unless(*bug, || Err("done")), Err("done"));
        }
    }

    #[cfg(tapelog_seeded_bugs)]
    #[test]
    fn nothing_is_on_unless_the_environment_says_so() {
        if std::env::var_os(ENVIRONMENT_VARIABLE).is_none() {
            assert!(SeededBug::ALL.iter().all(|bug| !bug.is_on()));
        }
    }

    #[cfg(tapelog_seeded_bugs)]
    #[test]
    fn one_bug_is_on_at_a_time_and_on_one_thread() {
        let at_first = switched_on();
        for bug in SeededBug::ALL {
            switch_on(Some(*bug));
            assert!(SeededBug::ALL.iter().all(|other| other.is_on() == (other == bug)));
            assert_eq!((bug.hides("error"), unless(*bug, || Err("done"))), (Ok(()), Ok(())));
            let elsewhere = std::thread::spawn(switched_on).join().unwrap();
            assert_eq!(elsewhere, at_first, "another thread begins as every thread does");
        }
        switch_on(None);
        assert_eq!(switched_on(), None);
    }
}
