//! From what SQLite says to what the store promises to say: full, unavailable, or holding what it should not.

use std::fmt::Display;

use crate::store::StoreError;

/// Primary result codes, as in <https://www.sqlite.org/rescode.html>.
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const TOO_BIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const NOT_A_DATABASE: i32 = 26;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok())
            .map(|code| code & 0xff);
        match (code, &error) {
            (Some(FULL), _) => Self::Full,
            (Some(CORRUPT | NOT_A_DATABASE | CONSTRAINT | TOO_BIG), _)
            | (
                None,
                sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnNotFound(_)
                | sqlx::Error::ColumnIndexOutOfBounds { .. },
            ) => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

/// A value in a row that cannot be read.
pub(super) fn corrupt(error: impl Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
