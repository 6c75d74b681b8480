//! From what SQLite says to what the store promises to say: full, unavailable, or holding what it should not.

use rusqlite::{Error, ErrorCode};

use crate::store::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            // Without a code it is what the library says by itself: a column of another type, a row that is not there.
            None
            | Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation
                | ErrorCode::TooBig,
            ) => Self::Corrupt(error.to_string()),
            Some(_) => Self::Unavailable(Box::new(error)),
        }
    }
}
