//! From what PostgreSQL says to what the store promises to say, and what the writer may do about it.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::{Error, SqlState};

use crate::store::StoreError;
use crate::store::ledger::batch::Raced;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::Unavailable(Box::new(error));
        };
        let code = said.code().code();
        match code.get(..2) {
            Some("53") if *said.code() == SqlState::DISK_FULL => Self::Full,
            // What it says of data and constraints may name a value, and a value may be somebody's.
            Some("22" | "23") => Self::Corrupt(format!(
                "the database refused a value ({code} {})",
                said.constraint().unwrap_or_default()
            )),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

/// A wait that was too long.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer within {0:?}")]
pub(super) struct TooLong(pub(super) Duration);

/// It was away a moment ago and is not asked again yet.
#[derive(Debug, thiserror::Error)]
#[error("the database is away")]
pub(super) struct Away;

/// One fault that hit several operations.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Shared(pub(super) Arc<StoreError>);

/// What can be done about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    /// Others were in the way: the same once more.
    Again,
    /// The connection, or the database: nothing that is asked differently would help.
    Broken,
    /// One of the operations.
    Bad,
}

pub(super) fn grade(error: &StoreError) -> Grade {
    let StoreError::Unavailable(source) = error else {
        return Grade::Bad;
    };
    if source.is::<Raced>() {
        return Grade::Again;
    }
    let Some(said) = source.downcast_ref::<Error>() else {
        return Grade::Broken;
    };
    let Some(code) = said.code() else {
        return Grade::Broken;
    };
    if [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::LOCK_NOT_AVAILABLE,
    ]
    .contains(code)
    {
        return Grade::Again;
    }
    match code.code().get(..2) {
        // Connections, resources, an operator's hand, the system, a server that only reads.
        Some("08" | "25" | "28" | "3D" | "53" | "57" | "58") => Grade::Broken,
        _ => Grade::Bad,
    }
}

/// Whether the server still recovers, and is nobody to write to yet.
pub(super) fn is_recovering(error: &StoreError) -> bool {
    let StoreError::Unavailable(source) = error else {
        return false;
    };
    let said = source.downcast_ref::<Error>();
    said.and_then(Error::code) == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
}

/// Whether the connection is gone or of no use any more; nothing was committed by a transaction whose end was not asked for.
pub(super) fn is_cut(error: &StoreError) -> bool {
    let StoreError::Unavailable(source) = error else {
        return false;
    };
    source
        .downcast_ref::<Error>()
        .is_some_and(|error| match error.code() {
            // Without a code it is not the server that speaks: the stream has ended or failed.
            None => true,
            // It ends, it has waited too long for us, or it only reads, as one does that is no longer the first of its kind.
            Some(code) => {
                let code = code.code();
                code.starts_with("57P")
                    || code.starts_with("08")
                    || ["25006", "25P03"].contains(&code)
            }
        })
}
