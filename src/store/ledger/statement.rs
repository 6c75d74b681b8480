//! The statements of the ledger: each has a text for every engine. What differs only in how a list is unfolded or how rows are
//! written comes out of one macro, so that tables, columns and conditions are written once.
//!
//! A parameter is `?` and takes the next number, or `?3` and takes that one.

/// The engines' ways of speaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    Sqlite,
}

/// A statement in the words of each engine.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Statement<'a> {
    pub(in crate::store) sqlite: &'a str,
}

impl<'a> Statement<'a> {
    /// One that every engine understands as it is.
    pub(in crate::store) const fn same(text: &'a str) -> Self {
        Self { sqlite: text }
    }
}

/// Finds by a list of ids, the first parameter: what is selected, the table with its alias, the column that holds the id, the rest.
macro_rules! by_ids {
    ($columns:expr, $table:literal, $id:literal) => {
        by_ids!($columns, $table, $id, "")
    };
    ($columns:expr, $table:literal, $id:literal, $rest:expr) => {
        $crate::store::ledger::statement::Statement {
            sqlite: concat!(
                "SELECT ",
                $columns,
                " FROM json_each(?1) j CROSS JOIN ",
                $table,
                " ON ",
                $id,
                " = unhex(j.value)",
                $rest
            ),
        }
    };
}
pub(super) use by_ids;

/// Finds by a list of keys, the first parameter, each an array of texts: what is selected, the table with its alias, the columns that
/// hold the parts of the key, the rest.
macro_rules! by_keys {
    ($columns:expr, $table:literal, [$($keys:literal),+]) => {
        by_keys!($columns, $table, [$($keys),+], "")
    };
    ($columns:expr, $table:literal, [$a:literal], $rest:expr) => {
        by_keys!(@ $columns, $table, concat!($a, " = j.value->>0"), $rest)
    };
    ($columns:expr, $table:literal, [$a:literal, $b:literal], $rest:expr) => {
        by_keys!(@ $columns, $table, concat!($a, " = j.value->>0 AND ", $b, " = j.value->>1"), $rest)
    };
    ($columns:expr, $table:literal, [$a:literal, $b:literal, $c:literal], $rest:expr) => {
        by_keys!(
            @ $columns, $table,
            concat!($a, " = j.value->>0 AND ", $b, " = j.value->>1 AND ", $c, " = j.value->>2"), $rest
        )
    };
    (@ $columns:expr, $table:literal, $on:expr, $rest:expr) => {
        $crate::store::ledger::statement::Statement {
            sqlite: concat!(
                "SELECT ", $columns, " FROM json_each(?1) j CROSS JOIN ", $table, " ON ", $on, $rest
            ),
        }
    };
}
pub(super) use by_keys;

/// Adds rows: the table, its columns with their kinds, what follows.
macro_rules! insert {
    ($table:literal, [$first:literal $first_kind:ident $(, $column:literal $kind:ident)*]) => {
        insert!($table, [$first $first_kind $(, $column $kind)*], "")
    };
    ($table:literal, [$first:literal $first_kind:ident $(, $column:literal $kind:ident)*], $rest:literal) => {
        $crate::store::ledger::statement::Statement {
            sqlite: concat!(
                "INSERT INTO ", $table, " (", $first, $(", ", $column,)* ") VALUES (?",
                $($crate::store::ledger::statement::one!($kind, ", ?"),)* ")", $rest
            ),
        }
    };
}
pub(super) use insert;

/// Changes rows: the table, the columns that are set, those that name the row; a row has its values in this order.
macro_rules! update {
    (
        $table:literal, [$first:literal $first_kind:ident $(, $column:literal $kind:ident)*],
        [$key:literal $key_kind:ident $(, $keys:literal $keys_kind:ident)*]
    ) => {
        update!($table, [$first $first_kind $(, $column $kind)*], [$key $key_kind $(, $keys $keys_kind)*], "")
    };
    (
        $table:literal, [$first:literal $first_kind:ident $(, $column:literal $kind:ident)*],
        [$key:literal $key_kind:ident $(, $keys:literal $keys_kind:ident)*], $rest:literal
    ) => {
        $crate::store::ledger::statement::Statement {
            sqlite: concat!(
                "UPDATE ", $table, " SET ", $first, " = ?", $(", ", $column, " = ?",)*
                " WHERE ", $key, " = ?", $(" AND ", $keys, " = ?",)* $rest
            ),
        }
    };
}
pub(super) use update;

/// Removes rows: the table and the columns that name the row.
macro_rules! delete {
    ($table:literal, [$key:literal $key_kind:ident $(, $keys:literal $keys_kind:ident)*]) => {
        $crate::store::ledger::statement::Statement {
            sqlite: concat!("DELETE FROM ", $table, " WHERE ", $key, " = ?", $(" AND ", $keys, " = ?",)*),
        }
    };
}
pub(super) use delete;

/// A text for each kind.
macro_rules! one {
    ($kind:ident, $text:literal) => {
        $text
    };
}
pub(super) use one;
