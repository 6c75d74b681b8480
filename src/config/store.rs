//! `[store]`: where everything is kept.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::reader::{MEBIBYTE, Reader};
use crate::store::postgres;

/// `[store]`
#[derive(Clone, Debug)]
pub struct Store {
    /// Which store.
    pub kind: StoreKind,
    /// The folder of this process: the embedded store, and what outboxes capture.
    pub path: PathBuf,
    /// The most bytes the embedded store's file may have; `None`: as many as the disk has.
    pub max_size: Option<u64>,
    /// Whether it is held until an operator lets it go on: said for one start, never set.
    pub paused: bool,
}

/// What a store's file may be limited to: enough to start with, and no more than SQLite can have.
const MAX_SIZE: RangeInclusive<u64> = 16 * MEBIBYTE..=16 * 1024 * 1024 * MEBIBYTE;

/// The stores there are.
#[derive(Clone, Debug)]
pub enum StoreKind {
    /// SQLite files in one folder.
    Sqlite,
    /// A database that processes share.
    Postgres(Box<postgres::Settings>),
}

/// The words of `store.kind`.
#[derive(Clone, Copy)]
enum Word {
    Sqlite,
    Postgres,
}

impl Store {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let kind = reader.word(
            "store.kind",
            &[("sqlite", Word::Sqlite), ("postgres", Word::Postgres)],
        );
        let path = reader.required_text("store.path", "the folder that this process may use");
        let max_size = reader.size("store.max_size", &MAX_SIZE);
        let postgres = postgres(reader);
        Some(Self {
            kind: match kind? {
                Word::Sqlite => StoreKind::Sqlite,
                Word::Postgres => StoreKind::Postgres(Box::new(postgres?)),
            },
            path: PathBuf::from(path),
            max_size: Some(max_size?).filter(|bytes| *bytes > 0),
            paused: false,
        })
    }
}

/// `[store.postgres]`
fn postgres(reader: &mut Reader) -> Option<postgres::Settings> {
    reader.allow_empty("store.postgres");
    let host = reader.required_text("store.postgres.host", "the name of the database server");
    let port = reader.count("store.postgres.port", &(1..=65_535));
    let database = reader.required_text("store.postgres.database", "the database's name");
    let user = reader.required_text("store.postgres.user", "who signs in");
    let password = reader.secret("store.postgres.password_file");
    let tls = reader.switch("store.postgres.tls");
    let ca = reader.readable_file("store.postgres.ca_file");
    let writers = reader.count("store.postgres.writers", &(1..=32));
    let readers = reader.count("store.postgres.readers", &(1..=64));
    Some(postgres::Settings {
        host,
        port: u16::try_from(port?).ok()?,
        database,
        user,
        password: password.map(|secret| secret.reveal().to_owned()),
        tls: if tls? {
            postgres::Tls::Require
        } else {
            postgres::Tls::Disable
        },
        ca,
        writers: writers? as usize,
        readers: readers? as usize,
    })
}
