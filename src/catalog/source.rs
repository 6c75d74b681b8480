//! Reading a template repository into memory: a folder, the pack compiled in, or a stored archive.
//!
//! Promise: what comes out is bounded, UTF-8, with `/` paths that stay inside and differ in more than case. Line ends
//! are `\n`, so that a checkout on another system gives the same bundle. It does not look into the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

use super::assets::{self, Assets};
use super::finding::{CatalogError, Findings, Spot};
use crate::domain::hex::hex;

/// The largest file.
pub(crate) const FILE_MAX_BYTES: usize = 256 * 1024;
const FILES_MAX: usize = 5_000;
const TOTAL_MAX_BYTES: usize = 32 * 1024 * 1024;
const FOLDER_DEPTH_MAX: usize = 12;
const PATH_MAX_BYTES: usize = 200;

#[derive(RustEmbed)]
#[folder = "templates/"]
struct Pack;

/// The text of every file by its path, and the pictures.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) assets: Assets,
}

impl Files {
    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// The pack that is compiled in.
    pub(crate) fn embedded() -> Result<Self, CatalogError> {
        let mut gather = Gather::default();
        for path in Pack::iter() {
            if let Some(file) = Pack::get(&path) {
                gather.file(&path, file.data.into_owned());
            }
        }
        gather.finish()
    }

    /// A folder on disk. Symbolic links are refused, hidden files, notes and editors' leftovers passed over.
    pub(crate) fn folder(root: &Path) -> Result<Self, CatalogError> {
        let mut gather = Gather::default();
        visit(root, "", 0, &mut |entry| match entry {
            Entry::File { path, at, .. } => match read_bounded(at, limit_of(&path)) {
                Ok(bytes) => gather.file(&path, bytes),
                Err(error) => gather.fault(
                    "file/unreadable",
                    &path,
                    format!("cannot be read: {error}."),
                ),
            },
            Entry::Fault {
                rule,
                path,
                message,
            } => gather.fault(rule, &path, message),
        });
        gather.finish()
    }

    /// What [`Files::archive`] wrote.
    pub(crate) fn from_archive(archive: &[u8]) -> Result<Self, CatalogError> {
        if archive.len() > TOTAL_MAX_BYTES * 2 {
            return Err(CatalogError::whole(
                "limit/size",
                "archive",
                "the stored bundle is too large.",
            ));
        }
        let files: BTreeMap<String, String> = serde_json::from_slice(archive).map_err(|error| {
            CatalogError::whole(
                "file/archive",
                "archive",
                format!("the stored bundle is damaged ({error}); publish the templates again."),
            )
        })?;
        let mut gather = Gather::default();
        for (path, text) in files {
            if !gather.assets.recall(&path, &text) {
                gather.file(&path, text.into_bytes());
            }
        }
        gather.finish()
    }

    /// All that belongs to a bundle: the current policy always applies, so it is not part of one.
    pub(crate) fn archive(&self) -> Vec<u8> {
        let assets: Vec<(String, String)> = self.assets.archived().collect();
        let pinned: BTreeMap<&String, &String> = self
            .texts
            .iter()
            .filter(|(path, _)| *path != "policy.toml")
            .chain(assets.iter().map(|(path, text)| (path, text)))
            .collect();
        serde_json::to_vec(&pinned).unwrap_or_default()
    }
}

/// The name of a bundle: the start of the SHA-256 of its archive.
pub(crate) fn bundle_id(archive: &[u8]) -> String {
    let digest = hex(&Sha256::digest(archive));
    digest.chars().take(16).collect()
}

/// A value that changes when a file comes, goes, grows, shrinks or is written: names, sizes and times, no content.
pub(crate) fn fingerprint(root: &Path) -> String {
    let mut hash = Sha256::new();
    visit(root, "", 0, &mut |entry| match entry {
        Entry::File {
            path,
            size,
            modified,
            ..
        } => {
            hash.update(path.as_bytes());
            hash.update(size.to_le_bytes());
            hash.update(modified.to_le_bytes());
        }
        Entry::Fault { path, message, .. } => {
            hash.update(path.as_bytes());
            hash.update(message.as_bytes());
        }
    });
    hex(&hash.finalize())
}

enum Entry<'a> {
    File {
        path: String,
        at: &'a Path,
        size: u64,
        modified: u128,
    },
    Fault {
        rule: &'static str,
        path: String,
        message: String,
    },
}

fn visit(folder: &Path, prefix: &str, depth: usize, tell: &mut dyn FnMut(Entry<'_>)) {
    let fault = |rule, path: &str, message: String| Entry::Fault {
        rule,
        path: path.to_owned(),
        message,
    };
    if depth > FOLDER_DEPTH_MAX {
        tell(fault(
            "limit/depth",
            prefix,
            format!("folders nest deeper than {FOLDER_DEPTH_MAX}; move it up."),
        ));
        return;
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            tell(fault(
                "file/unreadable",
                prefix,
                format!("the folder cannot be read: {error}."),
            ));
            return;
        }
    };
    let mut names: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    for name in names {
        let at = folder.join(&name);
        let Some(name) = name.to_str() else {
            tell(fault(
                "file/name",
                prefix,
                "a file name is not UTF-8; rename it.".to_owned(),
            ));
            continue;
        };
        if is_passed_over(name) {
            continue;
        }
        let path = if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}/{name}")
        };
        match fs::symlink_metadata(&at) {
            Err(error) => tell(fault(
                "file/unreadable",
                &path,
                format!("cannot be read: {error}."),
            )),
            Ok(meta) if meta.is_symlink() => tell(fault(
                "file/symlink",
                &path,
                "is a symbolic link; put the file itself here.".to_owned(),
            )),
            Ok(meta) if meta.is_dir() => visit(&at, &path, depth + 1, tell),
            Ok(meta) if meta.is_file() => {
                let modified = meta
                    .modified()
                    .ok()
                    .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                    .map_or(0, |age| age.as_nanos());
                tell(Entry::File {
                    path,
                    at: &at,
                    size: meta.len(),
                    modified,
                });
            }
            Ok(_) => tell(fault(
                "file/name",
                &path,
                "is neither a file nor a folder; remove it.".to_owned(),
            )),
        }
    }
}

/// Notes, hidden files, what editors leave behind and golden renderings are no part of a bundle.
fn is_passed_over(name: &str) -> bool {
    name.starts_with(['.', '#'])
        || name.ends_with(['~'])
        || [".swp", ".orig", ".bak", ".tmp"]
            .iter()
            .any(|end| name.ends_with(end))
        || name.starts_with("README")
        || name.starts_with("LICENSE")
        || name == "snapshots"
}

fn limit_of(path: &str) -> usize {
    if path.starts_with(assets::FOLDER) {
        assets::ASSET_MAX_BYTES
    } else {
        FILE_MAX_BYTES
    }
}

fn read_bounded(at: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(at)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[derive(Default)]
struct Gather {
    files: BTreeMap<String, String>,
    assets: Assets,
    lower: BTreeMap<String, String>,
    findings: Findings,
    total: usize,
}

impl Gather {
    fn fault(&mut self, rule: &'static str, path: &str, message: impl Into<String>) {
        let path = if path.is_empty() { "templates" } else { path };
        self.findings.add(rule, path, Spot::WHOLE, message);
    }

    fn file(&mut self, path: &str, bytes: Vec<u8>) {
        if path.split('/').any(is_passed_over) && !path.contains("..") {
            return;
        }
        if !is_tame(path) {
            let shown: String = path.chars().filter(|c| !c.is_control()).take(80).collect();
            self.fault("file/name", &shown, "file names have letters, digits, '.', '-' and '_', and stay inside the folder; rename it.");
            return;
        }
        if let Some(other) = self.lower.insert(path.to_lowercase(), path.to_owned()) {
            self.fault(
                "file/case",
                path,
                format!("differs from {other} only in case; rename one of them."),
            );
        }
        if path.starts_with(assets::FOLDER) {
            self.assets.add(path, bytes, &mut self.findings);
            return;
        }
        self.total += bytes.len();
        if bytes.len() > FILE_MAX_BYTES {
            self.fault(
                "limit/size",
                path,
                "is larger than 256 KiB; move parts of it into partials or make it shorter.",
            );
            return;
        }
        if self.files.len() >= FILES_MAX || self.total > TOTAL_MAX_BYTES {
            self.fault(
                "limit/size",
                "templates",
                "more than 5,000 files or 32 MiB; is this the right folder?",
            );
            return;
        }
        match text(bytes) {
            Ok(text) => {
                self.files.insert(path.to_owned(), text);
            }
            Err(message) => self.fault("file/encoding", path, message),
        }
    }

    fn finish(mut self) -> Result<Files, CatalogError> {
        self.findings.check()?;
        if self.files.is_empty() {
            return Err(CatalogError::whole(
                "file/missing",
                "shop.toml",
                "the folder holds no templates; it needs a shop.toml, a policy.toml and messages/.",
            ));
        }
        Ok(Files {
            texts: self.files,
            assets: self.assets,
        })
    }
}

fn is_tame(path: &str) -> bool {
    path.len() <= PATH_MAX_BYTES
        && path.split('/').all(|part| {
            !part.is_empty()
                && part != ".."
                && part != "."
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        })
}

fn text(bytes: Vec<u8>) -> Result<String, &'static str> {
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Err("starts with a byte order mark; save it as UTF-8 without one.");
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("is UTF-16; save it as UTF-8.");
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8; save it as UTF-8.")?;
    if text.contains('\0') {
        return Err("holds a zero byte; save it as plain text.");
    }
    Ok(if text.contains('\r') {
        text.replace("\r\n", "\n")
    } else {
        text
    })
}
