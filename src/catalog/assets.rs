//! The pictures of mails: what may be one, and the name under which it stands at the shop's public address.
//!
//! Its name holds a part of the hash of its content, so that a mail that was sent keeps its picture when the next
//! version comes, and every cache may keep it for ever. A bundle names its pictures and does not carry them: they are
//! put to the public address before a bundle is used, and mails only refer to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::finding::{Findings, Spot};
use crate::domain::hex::hex;

/// The folder of pictures.
pub(crate) const FOLDER: &str = "assets/";
/// The largest picture: a phone on a slow line waits for it.
pub(crate) const ASSET_MAX_BYTES: usize = 1024 * 1024;
/// All of them.
const TOTAL_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Digits of the hash in a name.
const DIGITS: usize = 12;
/// What stands for a picture in an archive.
const SCHEME: &str = "sha256:";

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asset {
    digest: String,
    /// None in a bundle that came from an archive.
    bytes: Option<Arc<[u8]>>,
}

/// The pictures by their path inside the folder.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Assets {
    all: BTreeMap<String, Asset>,
    total: usize,
}

impl Assets {
    /// Adds a picture; what is wrong with it is added to the findings.
    pub(crate) fn add(&mut self, path: &str, bytes: Vec<u8>, findings: &mut Findings) {
        let mut tell = |rule, message: &str| findings.add(rule, path, Spot::WHOLE, message);
        self.total = self.total.saturating_add(bytes.len());
        if bytes.len() > ASSET_MAX_BYTES {
            tell(
                "limit/size",
                "is larger than 1 MiB; save the picture smaller, or with fewer colours.",
            );
        } else if self.total > TOTAL_MAX_BYTES {
            tell(
                "limit/size",
                "the pictures together are larger than 32 MiB; remove some.",
            );
        } else if let Err(message) = check(path, &bytes) {
            tell("asset/type", message);
        } else if let Some(name) = path.strip_prefix(FOLDER) {
            let digest = hex(&Sha256::digest(&bytes));
            let bytes = Some(bytes.into());
            self.all.insert(name.to_owned(), Asset { digest, bytes });
        }
    }

    /// Adds what an archive says of a picture; false when that is nothing.
    pub(crate) fn recall(&mut self, path: &str, text: &str) -> bool {
        let digest = text
            .strip_prefix(SCHEME)
            .filter(|digest| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
        let (Some(name), Some(digest)) = (path.strip_prefix(FOLDER), digest) else {
            return false;
        };
        let digest = digest.to_owned();
        self.all.insert(
            name.to_owned(),
            Asset {
                digest,
                bytes: None,
            },
        );
        true
    }

    /// What stands for each in an archive.
    pub(crate) fn archived(&self) -> impl Iterator<Item = (String, String)> {
        self.all.iter().map(|(name, asset)| {
            (
                format!("{FOLDER}{name}"),
                format!("{SCHEME}{}", asset.digest),
            )
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    /// `icons/tick.png` as `icons/tick.1a2b3c4d5e6f.png`.
    pub(crate) fn public_name(&self, name: &str) -> Option<String> {
        let digits = self.all.get(name)?.digest.get(..DIGITS)?;
        let (stem, end) = name.rsplit_once('.')?;
        Some(format!("{stem}.{digits}.{end}"))
    }

    /// The public names with their bytes; those from an archive have none.
    pub(crate) fn public(&self) -> impl Iterator<Item = (String, Arc<[u8]>)> {
        self.all.iter().filter_map(|(name, asset)| {
            Some((self.public_name(name)?, Arc::clone(asset.bytes.as_ref()?)))
        })
    }
}

/// Whether it is what its name says, and something that mail programs show.
fn check(path: &str, bytes: &[u8]) -> Result<(), &'static str> {
    let end = path.rsplit_once('.').map_or("", |(_, end)| end);
    let starts: &[&[u8]] = match end {
        "png" => &[b"\x89PNG\r\n\x1a\n"],
        "jpg" | "jpeg" => &[b"\xff\xd8\xff"],
        "gif" => &[b"GIF87a", b"GIF89a"],
        "svg" => {
            return Err(
                "is an SVG, which most mail programs do not show; save it as PNG in twice the size.",
            );
        }
        "webp" | "avif" => {
            return Err(
                "is of a kind that many mail programs do not show; save it as PNG or JPEG.",
            );
        }
        _ => {
            return Err(
                "is no picture that mail programs show; assets are .png, .jpg, .jpeg or .gif, in lower case.",
            );
        }
    };
    if starts.iter().any(|start| bytes.starts_with(start)) {
        Ok(())
    } else {
        Err("is not what its name says; save the picture again in that format.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

    #[test]
    fn a_name_holds_the_hash_and_survives_the_archive() {
        let mut findings = Findings::default();
        let mut assets = Assets::default();
        assets.add("assets/icons/tick.v2.png", PNG.to_vec(), &mut findings);
        findings.check().unwrap();
        let name = assets.public_name("icons/tick.v2.png").unwrap();
        assert_eq!(
            name,
            "icons/tick.v2.b2d8ee3f0b9e.png"
                .replace("b2d8ee3f0b9e", &hex(&Sha256::digest(PNG))[..12])
        );
        assert_eq!(assets.public().next().unwrap().1.as_ref(), PNG);
        let mut again = Assets::default();
        for (path, text) in assets.archived() {
            assert!(again.recall(&path, &text));
        }
        assert_eq!(again.public_name("icons/tick.v2.png").unwrap(), name);
        assert_eq!(again.public().count(), 0);
        for text in [
            "",
            "sha256:",
            "sha256:zz",
            &format!("sha256:{}", "g".repeat(64)),
        ] {
            assert!(!again.recall("assets/x.png", text));
        }
        assert!(assets.public_name("other.png").is_none());
    }
}
