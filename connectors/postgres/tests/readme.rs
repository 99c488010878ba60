//! Keeps the generated parts of `README.md` fresh. `UPDATE_GOLDEN=1` writes them anew.

use std::path::Path;

use connect_postgres::config::{ExtraConfig, PostgresConfig};
use connect_postgres::reselect::settings::ReselectConfig;
use connect_postgres::settings::LATER;

/// Replaces what stands between a marker and its end.
fn replaced(page: &str, marker: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- begin {marker} -->\n"), format!("<!-- end {marker} -->"));
    let start = page.find(&begin).expect("the page has the marker") + begin.len();
    let stop = start + page[start..].find(&end).expect("the page has the marker's end");
    format!("{}{text}{}", &page[..start], &page[stop..])
}

fn later() -> String {
    let mut text = String::from("| key | what it does in the reference |\n|---|---|\n");
    for name in LATER {
        let documentation = PostgresConfig::def().key(name).map_or_else(
            || "Leaves out updates that change no captured column.".to_owned(),
            |key| key.documentation.split_whitespace().collect::<Vec<_>>().join(" "),
        );
        text.push_str(&format!("| `{}` | {} |\n", name.replace('|', "\\|"), documentation.replace('|', "\\|")));
    }
    text
}

#[test]
fn the_readme_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let fresh = replaced(&page, "later", &later());
    let fresh = replaced(&fresh, "reference", &connect_config::reference::table(PostgresConfig::def()));
    let fresh = replaced(&fresh, "extra", &connect_config::reference::table(ExtraConfig::def()));
    let fresh = replaced(&fresh, "reselect", &connect_config::reference::table(ReselectConfig::def()));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &fresh).expect("the page can be written");
    }
    assert!(page == fresh, "README.md is stale: run this test with UPDATE_GOLDEN=1 and commit the file");
}

#[test]
fn all_keys_of_the_reference_are_declared() {
    assert_eq!(PostgresConfig::def().keys().count(), 118);
    assert_eq!(PostgresConfig::def().groups(), ["Postgres", "Connector", "Events"]);
}
