//! The console's own files, compiled into the binary.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;

use super::problem::Problem;
use crate::domain::hex::hex;

#[derive(RustEmbed)]
#[folder = "src/web/console/"]
struct Files;

/// The page.
pub(super) async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    answer("index.html", &headers)
}

/// A style sheet, a module, an image.
pub(super) async fn file(
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(&path, &headers)
}

fn answer(path: &str, asked: &HeaderMap) -> Result<Response, Problem> {
    // Only listed files: in a debug build the embedding reads from the disk.
    let known = Files::iter().any(|name| name == path);
    let file = known.then(|| Files::get(path)).flatten();
    let Some(file) = file else {
        return Err(Problem::not_found("The console has no such file."));
    };
    let hash = hex(&file.metadata.sha256_hash());
    let tag = format!("\"{hash}\"");
    let caching = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    let seen = asked
        .get(header::IF_NONE_MATCH)
        .is_some_and(|value| value.as_bytes() == tag.as_bytes());
    if seen {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let media_type = [(header::CONTENT_TYPE, media_type(path))];
    Ok((media_type, caching, file.data.into_owned()).into_response())
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works offline: nothing in the files names another host, and no data is ever parsed as HTML.
    #[test]
    fn the_files_load_nothing_from_elsewhere_and_never_parse_data() {
        let mut seen = 0;
        for name in Files::iter() {
            let file = Files::get(&name).unwrap();
            let text = String::from_utf8(file.data.into_owned()).unwrap();
            let text = text.replace("http://www.w3.org/", "");
            for banned in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "localStorage",
            ] {
                assert!(!text.contains(banned), "{name} has {banned}");
            }
            seen += 1;
        }
        assert!(seen >= 3, "only {seen} files are embedded");
    }
}
