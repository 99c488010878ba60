//! Keys that name Java classes, and what has no effect here: a value that would change something is refused or reported, never
//! ignored in silence.

use connect_api::{Error, Props};

/// Keys without effect: a value other than the default is reported.
pub const LATER: &[&str] = &["openlineage.integration.enabled"];

/// Keys that name a class, the classes that are known, and what to do instead of naming another.
const CLASSES: &[(&str, &[&str], &str)] = &[
    (
        "transaction.metadata.factory",
        &["io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory"],
        "take the key out: blocks and records of transactions have the reference's own form then",
    ),
    (
        "sourceinfo.struct.maker",
        &["io.debezium.connector.postgresql.PostgresSourceInfoStructMaker"],
        "take the key out: the source block has the reference's own form then",
    ),
    (
        "database.sslfactory",
        &["org.postgresql.ssl.LibPQFactory", NO_VALIDATION],
        "take the key out, and say with database.sslmode, database.sslrootcert, database.sslcert and database.sslkey what is \
         wanted",
    ),
];

/// The driver's class that takes any certificate.
const NO_VALIDATION: &str = "org.postgresql.ssl.NonValidatingFactory";

/// What to do instead of naming a converter.
const NO_CONVERTERS: &str =
    "change the values by a transform, or by the modes of types (decimal.handling.mode and the like)";

fn given<'a>(props: &'a Props, key: &str) -> Option<&'a str> {
    props.get(key)?.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// The keys of [`LATER`] that are set to something of their own.
pub fn later_keys(props: &Props) -> Vec<String> {
    let differs = |key: &&&str| given(props, key).is_some_and(|value| !value.eq_ignore_ascii_case("false"));
    LATER.iter().filter(differs).map(|key| (*key).to_owned()).collect()
}

/// Refuses classes that can't be loaded here. What they would do to records, or to the connection, is not to be left out in
/// silence.
pub fn refuse_classes(props: &Props) -> Result<(), Error> {
    let refused = |key: &str, value: &str, remedy: &'static str| {
        Err(Error::config(format!(
            "The '{key}' value is invalid: {value} is a Java class, which this worker can't load"
        ))
        .hint(remedy))
    };
    for (key, known, remedy) in CLASSES {
        if let Some(class) = given(props, key).filter(|class| !known.contains(class)) {
            return refused(key, class, remedy);
        }
    }
    let names = given(props, "converters").unwrap_or_default();
    if let Some(name) = names.split(',').map(str::trim).find(|name| !name.is_empty()) {
        let class = given(props, &format!("{name}.type")).unwrap_or(name);
        return refused("converters", class, NO_CONVERTERS);
    }
    let verifies = given(props, "database.sslmode").is_some_and(|mode| mode.to_ascii_lowercase().starts_with("verify"));
    let takes_any = given(props, "database.sslfactory") == Some(NO_VALIDATION);
    if takes_any && (verifies || given(props, "database.sslrootcert").is_some()) {
        return Err(Error::config(
            "The 'database.sslfactory' value is invalid: it takes any certificate, and database.sslmode or \
             database.sslrootcert want the server's to be checked",
        )
        .hint("take database.sslfactory out, or set database.sslmode=require without database.sslrootcert"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::props;
    use super::*;

    #[test]
    fn keys_without_effect_are_reported_only_when_they_differ() {
        assert!(later_keys(&props(&[("openlineage.integration.enabled", "false")])).is_empty());
        let loud = props(&[("openlineage.integration.enabled", "true")]);
        assert_eq!(later_keys(&loud), vec!["openlineage.integration.enabled"]);
    }

    #[test]
    fn classes_of_the_reference_are_taken_and_others_refused() {
        let refused = |extra: &[(&str, &str)]| refuse_classes(&props(extra)).err();
        for known in [
            ("transaction.metadata.factory", "io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory"),
            ("sourceinfo.struct.maker", "io.debezium.connector.postgresql.PostgresSourceInfoStructMaker"),
            ("database.sslfactory", "org.postgresql.ssl.LibPQFactory"),
            ("database.sslfactory", NO_VALIDATION),
            ("converters", " "),
        ] {
            assert!(refused(&[known]).is_none(), "{known:?}");
        }
        let error = refused(&[("converters", "isbn"), ("isbn.type", "org.example.Isbn")]).expect("refused");
        assert_eq!(
            error.message(),
            "The 'converters' value is invalid: org.example.Isbn is a Java class, which this worker can't load"
        );
        assert!(error.remedy().is_some_and(|text| text.contains("transform")));
        for (key, value) in [("database.sslfactory", "x.Y"), ("converters", "r"), ("sourceinfo.struct.maker", "x.Y")] {
            assert!(refused(&[(key, value)]).is_some(), "{key}");
        }
        let both = [("database.sslfactory", NO_VALIDATION), ("database.sslmode", "verify-full")];
        assert!(refused(&both).is_some_and(|error| error.message().contains("takes any certificate")));
    }
}
