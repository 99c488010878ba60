//! The files of the portal: small, in the program, and all there is, so that it works where there is no internet.

use std::sync::LazyLock;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// Scripts, styles and pictures of our own, requests to ourselves, and nothing else from anywhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      manifest-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// What stands in the page for the way from it to its files.
const PLACE: &str = "{{place}}";
const PAGE: &str = include_str!("../portal/index.html");

/// A file as it is sent.
#[derive(Debug)]
pub(crate) struct File {
    name: &'static str,
    media: &'static str,
    text: String,
    /// Changes when the text does.
    tag: HeaderValue,
}

impl File {
    fn new(name: &'static str, media: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        let tag = HeaderValue::from_str(&format!("\"{:016x}\"", fingerprint(text.as_bytes())));
        Self { name, media, text, tag: tag.unwrap_or(HeaderValue::from_static("\"\"")) }
    }

    /// The answer to a request: 304 for those who have it already.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let kept = headers.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
        let tag = self.tag.to_str().unwrap_or_default();
        let mut tags = kept.flat_map(|tags| tags.split(',')).map(|kept| kept.trim().trim_start_matches("W/"));
        let mut response = if tags.any(|kept| kept == tag || kept == "*") {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(CONTENT_TYPE, HeaderValue::from_static(self.media))], self.text.clone()).into_response()
        };
        response.headers_mut().extend([
            (ETAG, self.tag.clone()),
            // Kept, but asked for each time: a new version of the worker shows its own page at once.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ]);
        response
    }
}

/// FNV-1a: nobody gains anything from two files with the same.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The page as it is at `/portal`, whose files are one step down, and at `/portal/`, whose files are beside it. Paths that
/// are relative survive a proxy that serves the worker below some path.
pub(crate) fn page(is_directory: bool) -> &'static File {
    static PAGES: LazyLock<[File; 2]> =
        LazyLock::new(|| ["portal/", ""].map(|place| File::new("index.html", HTML, PAGE.replace(PLACE, place))));
    let [at, below] = &*PAGES;
    if is_directory { below } else { at }
}

/// A file by its name.
pub(crate) fn file(name: &str) -> Option<&'static File> {
    static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
        vec![
            File::new("style.css", STYLE, include_str!("../portal/style.css")),
            File::new("icon.svg", PICTURE, include_str!("../portal/icon.svg")),
            File::new("app.js", SCRIPT, include_str!("../portal/app.js")),
            File::new("api.js", SCRIPT, include_str!("../portal/api.js")),
            File::new("dom.js", SCRIPT, include_str!("../portal/dom.js")),
            File::new("say.js", SCRIPT, include_str!("../portal/say.js")),
            File::new("words.js", SCRIPT, include_str!("../portal/words.js")),
            File::new("plots.js", SCRIPT, include_str!("../portal/plots.js")),
            File::new("store.js", SCRIPT, include_str!("../portal/store.js")),
            File::new("list.js", SCRIPT, include_str!("../portal/list.js")),
            File::new("job.js", SCRIPT, include_str!("../portal/job.js")),
            File::new("actions.js", SCRIPT, include_str!("../portal/actions.js")),
            File::new("secrets.js", SCRIPT, include_str!("../portal/secrets.js")),
            File::new("create.js", SCRIPT, include_str!("../portal/create.js")),
        ]
    });
    FILES.iter().find(|file| file.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file of the directory, as it is in the working tree.
    fn written() -> Vec<(String, String)> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/portal");
        let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
        let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
        named.map(|(name, path)| (name, std::fs::read_to_string(path).unwrap())).collect()
    }

    #[test]
    fn every_file_is_served_and_all_together_are_small() {
        let mut size = 0;
        for (name, text) in written().into_iter().filter(|(name, _)| name != "README.md" && name != "index.html") {
            assert_eq!(file(&name).map(|file| file.text.as_str()), Some(text.as_str()), "{name}");
            size += text.len();
        }
        assert!(size + PAGE.len() < 100 * 1024, "{size} bytes");
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        for (name, text) in written().into_iter().filter(|(name, _)| name != "README.md") {
            let names = text.replace("http://www.w3.org/2000/svg", "");
            for outside in ["http://", "https://", "@import", "url(", "eval(", "innerHTML", " style=\""] {
                assert!(!names.contains(outside), "{name} has {outside}");
            }
        }
    }

    #[test]
    fn the_page_finds_its_files_from_both_of_its_paths() {
        assert!(page(false).text.contains("\"portal/app.js\"") && page(true).text.contains("\"app.js\""));
        assert_ne!(page(false).tag, page(true).tag);
        assert!(!page(false).text.contains(PLACE));
    }

    #[test]
    fn who_has_a_file_is_not_sent_it_again() {
        let file = file("app.js").unwrap();
        let asked = |tags: &str| file.answer(&HeaderMap::from_iter([(IF_NONE_MATCH, tags.parse().unwrap())])).status();
        let tag = file.tag.to_str().unwrap();
        for kept in [tag, &format!("\"x\", W/{tag}"), "*"] {
            assert_eq!(asked(kept), 304, "{kept}");
        }
        assert_eq!(asked("\"x\""), 200);
    }
}
