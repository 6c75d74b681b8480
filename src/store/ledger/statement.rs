//! The statements of the ledger: each has a text for every engine. What differs only in how a list is unfolded or how rows are
//! written comes out of one macro, so that tables, columns and conditions are written once.
//!
//! A parameter is `?` and takes the next number, or `?3` and takes that one.

/// The engines' ways of speaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    /// The embedded one: one writer, so nothing needs a lock of its own.
    Sqlite,
    /// Many writers, in this process and in others: what decides locks what it decides about.
    Postgres,
}

/// A statement in the words of each engine.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Statement<'a> {
    pub(in crate::store) sqlite: &'a str,
    pub(in crate::store) postgres: &'a str,
}

impl<'a> Statement<'a> {
    /// One that every engine understands as it is.
    pub(in crate::store) const fn same(text: &'a str) -> Self {
        Self {
            sqlite: text,
            postgres: text,
        }
    }
}

/// Finds by a list of ids, the first parameter: what is selected, the table and its alias, the column that holds the id, then the
/// joins, the rest, and what only PostgreSQL is told at the end (its locks).
macro_rules! by_ids {
    ($columns:expr, $table:literal $alias:literal, $id:literal) => {
        by_ids!($columns, $table $alias, $id, "", "", "")
    };
    ($columns:expr, $table:literal $alias:literal, $id:literal, $joins:literal, $and:literal, $lock:literal) => {
        $crate::store::ledger::statement::Statement {
            sqlite: concat!(
                "SELECT ", $columns, " FROM json_each(?1) j CROSS JOIN ", $table, " ", $alias, " ON ", $id,
                " = unhex(j.value)", $joins, $and
            ),
            postgres: concat!(
                "SELECT ", $columns, " FROM ", $table, " ", $alias, $joins, " WHERE ", $id,
                " = ANY (ARRAY(SELECT jsonb_array_elements_text(?1::text::jsonb)::uuid))", $and, $lock
            ),
        }
    };
}
pub(super) use by_ids;

/// Finds by a list of keys, the first parameter, each an array of texts: what is selected, the table and its alias, the columns that
/// hold the parts of the key, then further conditions, then the rest. PostgreSQL is made to go through the list and look up each key.
macro_rules! by_keys {
    ($columns:expr, $table:literal $alias:literal, [$($keys:literal),+]) => {
        by_keys!($columns, $table $alias, [$($keys),+], "", "")
    };
    ($columns:expr, $table:literal $alias:literal, [$a:literal], $and:literal, $rest:literal) => {
        by_keys!(@ $columns, $table $alias, concat!($a, " = j.value->>0"), $and, $rest)
    };
    ($columns:expr, $table:literal $alias:literal, [$a:literal, $b:literal], $and:literal, $rest:literal) => {
        by_keys!(@ $columns, $table $alias, concat!($a, " = j.value->>0 AND ", $b, " = j.value->>1"), $and, $rest)
    };
    ($columns:expr, $table:literal $alias:literal, [$a:literal, $b:literal, $c:literal], $and:literal, $rest:literal) => {
        by_keys!(
            @ $columns, $table $alias,
            concat!($a, " = j.value->>0 AND ", $b, " = j.value->>1 AND ", $c, " = j.value->>2"), $and, $rest
        )
    };
    ($columns:expr, $table:literal $alias:literal, [$a:literal, $b:literal, $c:literal, $d:literal], $and:literal, $rest:literal) => {
        by_keys!(
            @ $columns, $table $alias,
            concat!(
                $a, " = j.value->>0 AND ", $b, " = j.value->>1 AND ", $c, " = j.value->>2 AND ", $d, " = j.value->>3"
            ),
            $and, $rest
        )
    };
    (@ $columns:expr, $table:literal $alias:literal, $on:expr, $and:literal, $rest:literal) => {
        $crate::store::ledger::statement::Statement {
            sqlite: concat!(
                "SELECT ", $columns, " FROM json_each(?1) j CROSS JOIN ", $table, " ", $alias, " ON ", $on, $and, $rest
            ),
            postgres: concat!(
                "SELECT ", $columns, " FROM jsonb_array_elements(?1::text::jsonb) j (value) CROSS JOIN LATERAL (SELECT * FROM ",
                $table, " ", $alias, " WHERE ", $on, $and, " OFFSET 0) ", $alias, $rest
            ),
        }
    };
}
pub(super) use by_keys;

/// Adds rows: the table, its columns with their types in PostgreSQL, what follows.
macro_rules! insert {
    ($table:literal, [$first:literal $first_type:ident $(, $column:literal $type:ident)*]) => {
        insert!($table, [$first $first_type $(, $column $type)*], "")
    };
    ($table:literal, [$first:literal $first_type:ident $(, $column:literal $type:ident)*], $rest:literal) => {
        $crate::store::ledger::statement::Statement {
            sqlite: concat!(
                "INSERT INTO ", $table, " (", $first, $(", ", $column,)* ") VALUES (?",
                $($crate::store::ledger::statement::each!($type, ", ?"),)* ")", $rest
            ),
            postgres: concat!(
                "INSERT INTO ", $table, " (", $first, $(", ", $column,)* ") SELECT * FROM unnest(?::",
                stringify!($first_type), "[]", $(", ?::", stringify!($type), "[]",)* ")", $rest
            ),
        }
    };
}
pub(super) use insert;

/// Changes rows: the table, the columns that are set, those that name the row; a row has its values in this order. Then what else
/// PostgreSQL sets, and a further condition.
macro_rules! update {
    (
        $table:literal, [$first:literal $first_type:ident $(, $column:literal $type:ident)*],
        [$key:literal $key_type:ident $(, $keys:literal $keys_type:ident)*]
    ) => {
        update!($table, [$first $first_type $(, $column $type)*], [$key $key_type $(, $keys $keys_type)*], "", "")
    };
    (
        $table:literal, [$first:literal $first_type:ident $(, $column:literal $type:ident)*],
        [$key:literal $key_type:ident $(, $keys:literal $keys_type:ident)*], $set:literal, $and:literal
    ) => {
        $crate::store::ledger::statement::Statement {
            sqlite: concat!(
                "UPDATE ", $table, " SET ", $first, " = ?", $(", ", $column, " = ?",)*
                " WHERE ", $key, " = ?", $(" AND ", $keys, " = ?",)* $and
            ),
            postgres: concat!(
                "UPDATE ", $table, " SET ", $first, " = v.", $first, $(", ", $column, " = v.", $column,)* $set,
                " FROM unnest(?::", stringify!($first_type), "[]", $(", ?::", stringify!($type), "[]",)*
                ", ?::", stringify!($key_type), "[]", $(", ?::", stringify!($keys_type), "[]",)*
                ") v (", $first, $(", ", $column,)* ", ", $key, $(", ", $keys,)*
                ") WHERE ", $table, ".", $key, " = v.", $key, $(" AND ", $table, ".", $keys, " = v.", $keys,)* $and
            ),
        }
    };
}
pub(super) use update;

/// Removes rows: the table and the columns that name the row.
macro_rules! delete {
    ($table:literal, [$key:literal $key_type:ident $(, $keys:literal $keys_type:ident)*]) => {
        $crate::store::ledger::statement::Statement {
            sqlite: concat!("DELETE FROM ", $table, " WHERE ", $key, " = ?", $(" AND ", $keys, " = ?",)*),
            postgres: concat!(
                "DELETE FROM ", $table, " USING unnest(?::", stringify!($key_type), "[]",
                $(", ?::", stringify!($keys_type), "[]",)* ") v (", $key, $(", ", $keys,)*
                ") WHERE ", $table, ".", $key, " = v.", $key, $(" AND ", $table, ".", $keys, " = v.", $keys,)*
            ),
        }
    };
}
pub(super) use delete;

/// A text for each type.
macro_rules! each {
    ($type:ident, $text:literal) => {
        $text
    };
}
pub(super) use each;
