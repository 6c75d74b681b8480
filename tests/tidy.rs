//! The layers and the homes, kept by a test: a module imports only from lower rows, a vendor's crate is named in its home
//! only, and the files read as the project's style asks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// The rows, lowest first. A module may import from lower rows only; `domain` may import within itself.
const LAYERS: &[&[&str]] = &[
    &["domain"],
    &["event", "failpoint", "proto"],
    &["store", "queue", "provider", "catalog"],
    &["admit", "decide", "render", "gate", "settle"],
    &[
        "intake",
        "planner",
        "relay",
        "worker",
        "scheduler",
        "sweeper",
        "heartbeat",
        "pacer",
        "client",
    ],
    &["api", "web", "cli"],
    &["config", "lifecycle", "telemetry"],
    &["app"],
];

/// Imports that cross the rows on purpose, with the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "cli",
    "config",
    "a command names the settings it was given; reading them is the lower thing",
)];

/// A vendor's crate and the only places that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("lettre", &["provider/smtp"]),
    ("twilight_http", &["provider/discord"]),
    ("twilight_model", &["provider/discord"]),
    ("reqwest", &["provider/"]),
    ("rusqlite", &["store/sqlite", "store/floor"]),
    ("tokio_postgres", &["store/postgres"]),
    ("handlebars", &["catalog", "render"]),
    ("tonic", &["api", "client", "app", "proto"]),
    ("axum", &["web"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("comfy_table", &["cli"]),
    ("indicatif", &["cli"]),
    ("prost_reflect", &["proto", "cli"]),
    ("terminal_size", &["cli"]),
    ("strsim", &["config", "catalog"]),
    ("fluent_bundle", &["catalog"]),
    ("icu", &["catalog"]),
    ("mrml", &["catalog/mjml"]),
    ("css_inline", &["catalog/inline"]),
    ("html2text", &["catalog/plain"]),
    ("metrics", &["event"]),
    ("rustix", &["failpoint", "app/bench/"]),
    ("lapin", &["queue/rabbitmq"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_path_buf(), text)
    };
    found.into_iter().map(read).collect()
}

/// The first words of every path in a file: `crate::store` gives `("crate", "store")`.
#[derive(Default)]
struct Paths {
    found: Vec<(String, Option<String>)>,
}

impl Paths {
    fn tree(&mut self, tree: &syn::UseTree, head: Option<&str>) {
        match (tree, head) {
            (syn::UseTree::Path(path), None) => {
                self.tree(&path.tree, Some(&path.ident.to_string()));
            }
            (syn::UseTree::Path(path), Some(head)) => self
                .found
                .push((head.to_owned(), Some(path.ident.to_string()))),
            (syn::UseTree::Name(name), Some(head)) => self
                .found
                .push((head.to_owned(), Some(name.ident.to_string()))),
            (syn::UseTree::Name(name), None) => self.found.push((name.ident.to_string(), None)),
            (syn::UseTree::Rename(name), Some(head)) => self
                .found
                .push((head.to_owned(), Some(name.ident.to_string()))),
            (syn::UseTree::Rename(name), None) => self.found.push((name.ident.to_string(), None)),
            (syn::UseTree::Group(group), head) => {
                group.items.iter().for_each(|item| self.tree(item, head));
            }
            (syn::UseTree::Glob(_), Some(head)) => self.found.push((head.to_owned(), None)),
            (syn::UseTree::Glob(_), None) => {}
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => {
            list.path.is_ident("cfg") && list.tokens.to_string().contains("test")
        }
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, None);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut words = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        if let Some(first) = words.next() {
            self.found.push((first, words.next()));
        }
        syn::visit::visit_path(self, path);
    }
}

fn paths(text: &str) -> Vec<(String, Option<String>)> {
    let file = syn::parse_file(text).unwrap();
    let mut paths = Paths::default();
    paths.visit_file(&file);
    paths.found
}

fn module_of(path: &Path) -> String {
    let first = path
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn row(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| {
        part.as_os_str()
            .to_str()
            .is_some_and(|name| name == "tests" || name == "tests.rs")
    })
}

#[test]
fn imports_point_down() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let module = module_of(&path);
        if matches!(module.as_str(), "lib" | "main") || is_test_file(&path) {
            continue;
        }
        let own = row(&module).unwrap_or_else(|| panic!("{module} stands in no layer; see LAYERS"));
        for (head, next) in paths(&text) {
            let (true, Some(target)) = (head == "crate", next) else {
                continue;
            };
            let Some(theirs) = row(&target) else { continue };
            let excepted = EXCEPTIONS
                .iter()
                .any(|(from, to, _)| *from == module && *to == target);
            if target != module && theirs >= own && !excepted {
                faults.push(format!(
                    "{} imports crate::{target}, which is not below it",
                    path.display()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn vendors_have_one_home() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let place = path.to_str().unwrap();
        if is_test_file(&path) {
            continue;
        }
        for (head, _) in paths(&text) {
            for (vendor, homes) in HOMES.iter().filter(|(vendor, _)| *vendor == head) {
                if !homes.iter().any(|home| place.starts_with(home)) {
                    faults.push(format!(
                        "{place} names {vendor}, whose home is {}",
                        homes.join(", ")
                    ));
                }
            }
        }
    }
    faults.dedup();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Inside `domain` the files may import each other, but not in a circle.
#[test]
fn the_domain_has_no_cycle() {
    let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let Ok(inner) = path.strip_prefix("domain") else {
            continue;
        };
        let name = module_of(inner);
        for (head, next) in paths(&text) {
            if let ("super", Some(target)) = (head.as_str(), next) {
                edges.entry(name.clone()).or_default().push(target);
            }
        }
    }
    fn visit(
        name: &str,
        edges: &BTreeMap<String, Vec<String>>,
        way: &mut Vec<String>,
        done: &mut Vec<String>,
    ) {
        assert!(
            !way.iter().any(|step| step == name),
            "a circle: {} → {name}",
            way.join(" → ")
        );
        if done.iter().any(|seen| seen == name) {
            return;
        }
        way.push(name.to_owned());
        for target in edges.get(name).into_iter().flatten() {
            visit(target, edges, way, done);
        }
        way.pop();
        done.push(name.to_owned());
    }
    let mut done = Vec::new();
    for name in edges.keys() {
        visit(name, &edges, &mut Vec::new(), &mut done);
    }
    assert!(done.len() > 5, "the domain was not found");
}

#[test]
fn every_file_says_what_it_is_and_leaves_nothing_undone() {
    for (path, text) in sources() {
        let place = path.display();
        assert!(
            is_test_file(&path) || text.starts_with("//!"),
            "{place} has no header"
        );
        assert_ne!(
            path.file_name().unwrap(),
            "mod.rs",
            "{place}: name.rs beside name/"
        );
        for word in ["TODO", "FIXME", "todo!(", "unimplemented!("] {
            assert!(!text.contains(word), "{place} holds {word}");
        }
    }
}

/// An import that points up must be found, or the tests above would pass on anything.
#[test]
fn the_checks_see_what_they_look_for() {
    let found = paths(
        "use crate::{store::Store, app};\nfn f() { lettre::send(); }\n#[cfg(test)] mod tests { use crate::api; }",
    );
    assert!(found.contains(&("crate".into(), Some("store".into()))));
    assert!(found.contains(&("crate".into(), Some("app".into()))));
    assert!(found.iter().any(|(head, _)| head == "lettre"));
    assert!(!found.contains(&("crate".into(), Some("api".into()))));
}
