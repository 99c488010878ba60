//! MongoDB's Extended JSON.

use connect_mongodb::doc::extjson::{parse_document, parse_documents};
use connect_mongodb::doc::{Writer, render};

/// The text of a document, or of a list of documents when the first character opens one.
pub fn extjson(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.starts_with('[') {
        drop(parse_documents(&text));
    }
    let Ok(document) = parse_document(&text) else { return };
    // Names and patterns may hold what BSON can not.
    drop(Writer::new().put_document(&document));
    let written = render::json(&document);
    match parse_document(&written) {
        Ok(again) => assert_eq!(render::json(&again), written, "{document:?}"),
        // What is short in the shell's style is a document when it is spelled out.
        Err(error) => assert!(error.message().contains("levels deep"), "{error}: {written}"),
    }
}
