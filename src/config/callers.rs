//! The `[callers.NAME]` sections: who may call, how each is recognised, and what it may do.
//!
//! Without any section nobody is asked who they are, which only an address of this machine allows. Nothing that an
//! operator wrote where a hash belongs is shown: it may be the key.

use std::collections::BTreeMap;

use super::layers::Origin;
use super::nearest::nearest;
use super::providers::is_name;
use super::reader::Reader;
use crate::domain::caller::{Caller, KeyHash, KnownCaller, Scope};
use crate::domain::shop::{CallerId, Identity};

/// Two keys are good while one takes over from the other.
const KEYS_MAX: usize = 2;
/// Names of one caller's certificates.
const NAMES_MAX: usize = 16;
const NAME_MAX_BYTES: usize = 255;

/// Reads all callers, by name.
pub(super) fn read(reader: &mut Reader) -> Vec<KnownCaller> {
    reader.allow_empty("callers");
    let mut callers = Vec::new();
    // Whose each credential is: nobody else may show the same.
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    for (name, origin) in reader.names_under("callers") {
        let path = format!("callers.{name}");
        // A caller without a key is given too; what it lacks is told.
        reader.allow_empty(&path);
        if !is_name(&name) {
            reader.fault(
                &origin,
                &path,
                "a caller's name has 1 to 32 characters: a to z, 0 to 9, - and _, a letter first",
            );
        }
        callers.push(one(reader, &mut shown, &name, &path, &origin));
    }
    callers
}

fn one(
    reader: &mut Reader,
    shown: &mut BTreeMap<String, String>,
    name: &str,
    path: &str,
    origin: &Origin,
) -> KnownCaller {
    let identity = Identity {
        caller: CallerId::new(name),
        ..Identity::local()
    };
    shop(reader, &format!("{path}.shop"), &identity);
    let scopes = scopes(reader, &format!("{path}.scopes"), origin);
    let keys = keys(reader, shown, name, &format!("{path}.api_key_hashes"));
    let names_at = format!("{path}.certificate_names");
    let certificate_names = certificate_names(reader, shown, name, &names_at);
    if let (None, None) = (&keys, &certificate_names) {
        reader.fault(
            origin,
            path,
            "has no credential; give api_key_hashes (tidings keys new makes a key with its hash) or certificate_names",
        );
    }
    KnownCaller {
        caller: Caller { identity, scopes },
        keys: keys.unwrap_or_default(),
        certificate_names: certificate_names.unwrap_or_default(),
    }
}

/// One process holds one template repository and one policy, so it serves one shop.
fn shop(reader: &mut Reader, path: &str, identity: &Identity) {
    let origin = reader.origin(path);
    let Some(shop) = reader.optional_text(path) else {
        return;
    };
    let served = identity.shop.as_str();
    if shop != served {
        reader.fault(
            &origin,
            path,
            &format!("is {shop:?}; this release serves one shop, {served:?}: leave it out, and run a gateway of its own for each shop"),
        );
    }
}

fn scopes(reader: &mut Reader, path: &str, section: &Origin) -> Vec<Scope> {
    let origin = reader.origin(path);
    let given = reader.is_given(path);
    let mut scopes = Vec::new();
    let all = || Scope::ALL.iter().map(|scope| scope.as_str());
    let Some(words) = reader.list(path) else {
        if !given {
            let list = all().collect::<Vec<_>>().join(", ");
            reader.fault(section, path, &format!("is missing; give some of {list}"));
        }
        return scopes;
    };
    if words.is_empty() {
        reader.fault(
            &origin,
            path,
            "is empty; a caller without a scope may call nothing",
        );
    }
    for word in words {
        match word.parse::<Scope>() {
            Ok(scope) => scopes.push(scope),
            Err(unknown) => {
                let close = nearest(&word, all())
                    .map_or_else(String::new, |close| format!("; did you mean {close}?"));
                reader.fault(&origin, path, &format!("{unknown}{close}"));
            }
        }
    }
    scopes
}

/// `None` when none is given.
fn keys(
    reader: &mut Reader,
    shown: &mut BTreeMap<String, String>,
    name: &str,
    path: &str,
) -> Option<Vec<KeyHash>> {
    let (origin, given) = (reader.origin(path), reader.is_given(path));
    let Some(texts) = reader.list(path) else {
        // What was given and is no list has been told.
        return given.then(Vec::new);
    };
    if texts.is_empty() {
        return None;
    }
    if texts.len() > KEYS_MAX {
        let what = "holds one hash, or two while a new key takes over from an old one";
        reader.fault(&origin, path, what);
    }
    let mut hashes = Vec::new();
    for text in texts {
        match KeyHash::parse(&text) {
            Some(hash) => hashes.push(hash),
            None => reader.fault(
                &origin,
                path,
                "holds something that is no hash of a key; a hash is sha256: and 64 digits, as tidings keys new prints it, and the key itself belongs to the caller alone",
            ),
        }
        alone(reader, shown, name, path, &origin, text, "a key");
    }
    Some(hashes)
}

/// `None` when none is given. DNS names in lower case, as they are compared.
fn certificate_names(
    reader: &mut Reader,
    shown: &mut BTreeMap<String, String>,
    name: &str,
    path: &str,
) -> Option<Vec<String>> {
    let (origin, given) = (reader.origin(path), reader.is_given(path));
    let Some(texts) = reader.list(path) else {
        return given.then(Vec::new);
    };
    if texts.is_empty() {
        return None;
    }
    if texts.len() > NAMES_MAX {
        reader.fault(&origin, path, &format!("holds at most {NAMES_MAX} names"));
    }
    let mut names = Vec::new();
    for text in texts {
        let plain = !text.is_empty()
            && text.len() <= NAME_MAX_BYTES
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'*');
        if !plain {
            reader.fault(
                &origin,
                path,
                &format!("{text:?} is no name; give a URI such as spiffe://shop.example/orders or a DNS name, without a wildcard"),
            );
        }
        let text = if text.contains(':') {
            text
        } else {
            text.to_ascii_lowercase()
        };
        alone(reader, shown, name, path, &origin, text.clone(), "a name");
        names.push(text);
    }
    Some(names)
}

/// A credential is of one caller, else nobody could say who shows it.
fn alone(
    reader: &mut Reader,
    shown: &mut BTreeMap<String, String>,
    name: &str,
    path: &str,
    origin: &Origin,
    credential: String,
    what: &str,
) {
    if let Some(first) = shown.insert(credential, name.to_owned()) {
        reader.fault(
            origin,
            path,
            &format!("holds {what} that callers.{first} has too; each belongs to one caller, once"),
        );
    }
}
