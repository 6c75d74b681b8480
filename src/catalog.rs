//! L2: the template repository as immutable bundles.
//!
//! Promise: what [`Catalog::live`] gives has passed every check, and a broken change never takes the place of a good
//! one. A bundle is compiled once, named by its content, and stays readable as long as somebody holds it. This module
//! does not send, decide or store anything; [`crate::render`] is the door to filling a template.

mod assemble;
mod assets;
mod bare;
mod budget;
mod bundle;
mod check;
pub mod choice;
mod compile;
pub(crate) mod compose;
mod copies;
mod engine;
mod escape;
mod finding;
mod flat;
mod format;
mod helpers;
mod inline;
mod links;
mod manifest;
mod markup;
mod mjml;
mod place;
mod plain;
mod rules;
mod schema;
mod scope;
mod shape;
mod shop;
mod skeleton;
mod source;
mod strings;
mod toml_text;
mod walk;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use bare::Bare;
pub use bundle::Bundle;
pub use copies::write_copies;
pub use finding::{CatalogError, Finding};
pub use shop::Shop;

use crate::domain::policy::Policy;
use source::Files;

/// Bundles that are kept besides the live one; older ones are read from the store again by [`Catalog::adopt`].
const KEPT_MAX: usize = 64;

/// Where templates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The pack that is compiled in.
    Embedded,
    /// A folder that may change while the gateway runs.
    Folder(PathBuf),
}

/// The templates that are in use, and those that were.
#[derive(Debug)]
pub struct Catalog {
    source: Source,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    live: Arc<Bundle>,
    policy: Arc<Policy>,
    kept: VecDeque<Arc<Bundle>>,
    /// What the folder looked like when it was last read, whether or not that was of use.
    seen: String,
    /// Whether the last look found something wrong.
    broken: bool,
}

impl Catalog {
    /// Reads and checks the templates.
    ///
    /// # Errors
    /// Every finding, when something is wrong.
    pub fn open(source: Source) -> Result<Self, CatalogError> {
        let seen = fingerprint(&source);
        let (live, policy) = load(&source)?;
        let state = State {
            live,
            policy,
            kept: VecDeque::new(),
            seen,
            broken: false,
        };
        Ok(Self {
            source,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bundle that new intents are checked against.
    pub fn live(&self) -> Arc<Bundle> {
        Arc::clone(&self.state().live)
    }

    /// The policy that applies now.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.state().policy)
    }

    /// A bundle by its name: the live one, one that was live, or an adopted one.
    pub fn bundle(&self, id: &str) -> Option<Arc<Bundle>> {
        let state = self.state();
        std::iter::once(&state.live)
            .chain(&state.kept)
            .find(|bundle| bundle.id() == id)
            .map(Arc::clone)
    }

    /// Makes a stored archive readable again. It passed every check when it was new, so only what keeps the process
    /// safe is checked again.
    ///
    /// # Errors
    /// The archive is damaged, or cannot be read safely.
    pub fn adopt(&self, archive: &[u8]) -> Result<Arc<Bundle>, CatalogError> {
        if let Some(known) = self.bundle(&source::bundle_id(archive)) {
            return Ok(known);
        }
        let files = Files::from_archive(archive)?;
        let bundle = Arc::new(compile::adopted(files)?);
        keep(&mut self.state().kept, Arc::clone(&bundle));
        Ok(bundle)
    }

    /// Reads a folder again when names, sizes or times in it have changed since the last look, and swaps bundle and
    /// policy when everything is right. `Ok(true)`: swapped, or right again after an error.
    ///
    /// # Errors
    /// What is wrong with the change, once for each change; the good bundle stays.
    pub fn reload(&self) -> Result<bool, CatalogError> {
        let Source::Folder(folder) = &self.source else {
            return Ok(false);
        };
        let now = source::fingerprint(folder);
        if std::mem::replace(&mut self.state().seen, now.clone()) == now {
            return Ok(false);
        }
        let loaded = load(&self.source);
        let mut state = self.state();
        let mended = std::mem::replace(&mut state.broken, loaded.is_err());
        let (live, policy) = loaded?;
        let same = state.live.id() == live.id() && state.policy == policy;
        let before = std::mem::replace(&mut state.live, live);
        state.policy = policy;
        if !same {
            keep(&mut state.kept, before);
        }
        Ok(!same || mended)
    }
}

fn keep(kept: &mut VecDeque<Arc<Bundle>>, bundle: Arc<Bundle>) {
    kept.retain(|old| old.id() != bundle.id());
    kept.push_front(bundle);
    kept.truncate(KEPT_MAX);
}

fn fingerprint(source: &Source) -> String {
    match source {
        Source::Embedded => String::new(),
        Source::Folder(folder) => source::fingerprint(folder),
    }
}

fn load(source: &Source) -> Result<(Arc<Bundle>, Arc<Policy>), CatalogError> {
    let files = match source {
        Source::Embedded => Files::embedded()?,
        Source::Folder(folder) => Files::folder(folder)?,
    };
    let (bundle, policy) = compile::published(files)?;
    Ok((Arc::new(bundle), Arc::new(policy)))
}
