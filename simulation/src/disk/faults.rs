//! Faults that a disk is told to have.

use std::io;

use rustix::io::Errno;

/// What a storage is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// To open a file that is there.
    Open,
    /// To create a file or a folder.
    Create,
    /// To list a folder or to look at what stands under a name or at a length.
    Look,
    /// To read bytes.
    Read,
    /// To write bytes.
    Write,
    /// To make a file durable.
    SyncFile,
    /// To make the names in a folder durable.
    SyncFolder,
    /// To give a file another name.
    Rename,
    /// To remove a file.
    Remove,
    /// To set a length.
    SetLen,
    /// To take a lock.
    Lock,
}

impl OperationKind {
    /// Whether it changes what another process sees.
    #[must_use]
    pub fn is_change(self) -> bool {
        matches!(self, Self::Create | Self::Write | Self::Rename | Self::Remove | Self::SetLen | Self::Lock)
    }

    /// Whether it makes something durable.
    #[must_use]
    pub fn is_sync(self) -> bool {
        matches!(self, Self::SyncFile | Self::SyncFolder)
    }

    /// Whether a full disk can fail it.
    #[must_use]
    pub fn needs_room(self) -> bool {
        matches!(self, Self::Create | Self::Write | Self::Rename | Self::SetLen | Self::SyncFile | Self::SyncFolder)
    }
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The device reports an error. A write has written a part, a sync leaves its pages clean.
    Eio,
    /// The disk is full.
    Enospc,
    /// A read or a write moves fewer bytes than it was asked to, and says so.
    Short,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 3] = [Self::Eio, Self::Enospc, Self::Short];

    /// Whether the fault can befall such an operation.
    #[must_use]
    pub fn befalls(self, kind: OperationKind) -> bool {
        match self {
            Self::Eio => true,
            Self::Enospc => kind.needs_room(),
            Self::Short => matches!(kind, OperationKind::Read | OperationKind::Write),
        }
    }

    /// The error that is reported; a short operation is none.
    #[must_use]
    pub fn error(self) -> Option<io::Error> {
        match self {
            Self::Eio => Some(Errno::IO.into()),
            Self::Enospc => Some(Errno::NOSPC.into()),
            Self::Short => None,
        }
    }
}

/// A fault at one operation, or from it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultPlan {
    /// The number of the operation, counted from zero over all operations of the disk.
    pub at: u64,
    /// What happens.
    pub fault: Fault,
    /// Whether it happens to every operation from then on that it can befall.
    pub for_ever: bool,
}

impl FaultPlan {
    /// What happens to an operation.
    #[must_use]
    pub fn fault_of(&self, number: u64, kind: OperationKind) -> Option<Fault> {
        let is_due = if self.for_ever { number >= self.at } else { number == self.at };
        (is_due && self.fault.befalls(kind)).then_some(self.fault)
    }
}
