//! The page with plots: one document without external files.
//!
//! Its script and its style are in the document, and the policy that comes with it names them by their hashes. So a browser
//! runs nothing else, whatever a server's name or an error on the page may contain, and connects only to this listener.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::protocol::memcached::text::meta::base64;

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = concat!(
    include_str!("page/figures.js"),
    include_str!("page/page.js")
);

/// The document and its policy.
pub(super) struct Page {
    pub(super) text: String,
    /// Lines of the head of the answer.
    pub(super) headers: String,
}

/// The page, which is put together once.
pub(super) static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let text = include_str!("page/page.html");
    Page {
        text: text
            .replace("/*STYLE*/", STYLE)
            .replace("/*SCRIPT*/", SCRIPT),
        headers: format!(
            "Content-Security-Policy: default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n",
            hash(SCRIPT),
            hash(STYLE)
        ),
    }
});

/// The name of a script or a style in a policy.
fn hash(text: &str) -> String {
    let mut name = Vec::from(b"sha256-");
    base64::encode(&Sha256::digest(text), &mut name);
    String::from_utf8(name).expect("base64 is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_its_script_and_style_and_nothing_from_elsewhere() {
        let page = &*PAGE;
        assert!(page.text.contains(SCRIPT) && page.text.contains(STYLE));
        assert_eq!(page.text.matches("<script>").count(), 1);
        let lower = page.text.to_ascii_lowercase();
        for outside in [
            " src=",
            "<link",
            "@import",
            "url(",
            " style=",
            " onclick=",
            "innerhtml",
        ] {
            assert!(!lower.contains(outside), "{outside}");
        }
        // The only address is the name of SVG.
        let addresses: Vec<_> = lower
            .match_indices("http")
            .map(|(at, _)| &lower[at..at + 23])
            .collect();
        assert_eq!(addresses, ["http://www.w3.org/2000/"]);
    }

    #[test]
    fn the_policy_names_a_hash_as_browsers_compute_it() {
        // printf alert | openssl dgst -sha256 -binary | base64
        let expected = "sha256-35BQWN1npAn++BSA6B5HNlcrDttNf7mHxpXNB+Jg7IE=";
        assert_eq!(hash("alert"), expected);
    }
}
