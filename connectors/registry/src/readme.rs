//! Keeps the generated parts of `README.md` fresh. `UPDATE_GOLDEN=1` writes them anew.

use std::path::Path;

use crate::settings::{AvroConfig, JsonConfig, ProtobufConfig, RegistryConfig};
use connect_config::ConfigDef;

/// Replaces what stands between a marker and its end.
fn replaced(page: &str, marker: &str, def: &ConfigDef) -> String {
    let (begin, end) = (format!("<!-- begin {marker} -->\n"), format!("<!-- end {marker} -->"));
    let start = page.find(&begin).expect("the page has the marker") + begin.len();
    let stop = start + page[start..].find(&end).expect("the page has the marker's end");
    let table = connect_config::reference::table(def);
    format!("{}{table}{}", &page[..start], &page[stop..])
}

#[test]
fn the_readme_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let defs = [
        ("registry", RegistryConfig::def()),
        ("avro", AvroConfig::def()),
        ("json", JsonConfig::def()),
        ("protobuf", ProtobufConfig::def()),
    ];
    let fresh = defs.iter().fold(page.clone(), |page, (marker, def)| replaced(&page, marker, def));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &fresh).expect("the page can be written");
    }
    assert!(page == fresh, "README.md is stale: run this test with UPDATE_GOLDEN=1 and commit the file");
}
