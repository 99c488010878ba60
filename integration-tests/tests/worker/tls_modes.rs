//! `database.sslmode` and its companions, in all combinations with what a server can be: its certificate right, over, or of another
//! name, and its rules for who may come how.

use std::path::Path;

use connect_postgres::settings::Server;
use connect_postgres::wire::{Purpose, Wire};
use integration_tests::testbed::tls::{CLIENT, Certificates, STORE_PASSWORD};
use integration_tests::testbed::{Postgres, PostgresOptions, reaper};
use serde_json::{Value, json};

use crate::support::{unique, with};
use crate::upkeep_rig::props;

/// Roles that may come in one way only, and the superuser, who may come in any.
const RULES: &str = "hostssl all encrypted 127.0.0.1/32 scram-sha-256\n\
                     hostnossl all plain 127.0.0.1/32 scram-sha-256\n\
                     hostssl all old 127.0.0.1/32 md5\n\
                     hostssl all certified 127.0.0.1/32 cert\n\
                     host all postgres 127.0.0.1/32 scram-sha-256\n";
const PASSWORD: &str = "sec'ret";

/// A server with TLS, the roles, and a certificate.
async fn server(base: &str, certificates: &Certificates) -> Postgres {
    let name = unique(base);
    let rules = reaper::data_directory(&format!("{name}_rules")).unwrap().join("hba.conf");
    std::fs::write(&rules, RULES).unwrap();
    let settings =
        [format!("hba_file={}", rules.display()), format!("ssl_ca_file={}", certificates.authority.display())];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let options =
        PostgresOptions { certificates: Some(certificates), settings: &settings, ..PostgresOptions::default() };
    let server = Postgres::start(&name, options).unwrap();
    let client = server.address.connect().await.unwrap();
    for role in ["encrypted", "plain", "old", CLIENT] {
        let method = if role == "old" { "md5" } else { "scram-sha-256" };
        let make = format!(
            "set password_encryption = '{method}'; create role {role} login replication password '{}'",
            PASSWORD.replace('\'', "''")
        );
        client.batch_execute(&make).await.unwrap();
    }
    server
}

/// Connects as a role: whether TLS is used, or what is said instead.
async fn connects(server: &Postgres, role: &str, changes: Value) -> Result<bool, String> {
    let login = json!({"database.user": role, "database.password": PASSWORD});
    let props = props(&server.address, "tls", "public.t", &with(login, &changes));
    let settings = Server::parse(&props).unwrap();
    let text = |error: connect_postgres::error::PgError| {
        let text = error.failed_to("connect").trace();
        assert!(!text.contains(PASSWORD), "{text}");
        text
    };
    for purpose in [Purpose::Replication, Purpose::Sql] {
        let mut wire = Wire::connect(&settings, purpose).await.map_err(text)?;
        let rows = wire.query("select ssl from pg_stat_ssl where pid = pg_backend_pid()").await.map_err(text)?;
        let encrypted = rows[0][0].as_deref() == Some("t");
        wire.close(false).await;
        if purpose == Purpose::Sql {
            return Ok(encrypted);
        }
    }
    unreachable!("both were tried")
}

fn mode(mode: &str, root: Option<&Path>) -> Value {
    match root {
        Some(root) => json!({"database.sslmode": mode, "database.sslrootcert": root.display().to_string()}),
        None => json!({"database.sslmode": mode}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_uses_tls_and_checks_the_server_as_it_says() {
    let good = Certificates::make(&unique("tls_modes")).unwrap();
    let expired = Certificates { server: good.expired.clone(), ..good.clone() };
    let elsewhere = Certificates { server: good.elsewhere.clone(), ..good.clone() };
    let servers = [
        server("tls_good", &good).await,
        server("tls_expired", &expired).await,
        server("tls_elsewhere", &elsewhere).await,
    ];
    let (own, stranger) = (Some(good.authority.as_path()), Some(good.stranger.as_path()));
    // For the good server, the expired one, and the one of another name.
    for (mode_name, root, fits) in [
        ("allow", None, [true, true, true]),
        ("prefer", None, [true, true, true]),
        ("require", None, [true, true, true]),
        ("require", own, [true, false, true]),
        ("require", stranger, [false, false, false]),
        ("verify-ca", own, [true, false, true]),
        ("verify-ca", stranger, [false, false, false]),
        ("verify-full", own, [true, false, false]),
        ("verify-full", stranger, [false, false, false]),
        ("verify-full", None, [false, false, false]),
    ] {
        for (server, fits) in servers.iter().zip(fits) {
            let found = connects(server, "encrypted", mode(mode_name, root)).await;
            let name = server.process.log().display();
            match (fits, &found) {
                (true, Ok(true)) => {}
                (false, Err(text)) if text.contains("SSL error") || text.contains("certificate") => {}
                _ => panic!("{mode_name} with {root:?} at {name}: {found:?}"),
            }
        }
    }
    let good = &servers[0];
    let refused = connects(good, "encrypted", mode("disable", None)).await.unwrap_err();
    assert!(refused.contains("no pg_hba.conf entry"), "{refused}");
    // Who may come without TLS only.
    for (mode_name, fits) in [("disable", true), ("allow", true), ("prefer", true), ("require", false)] {
        let found = connects(good, "plain", mode(mode_name, None)).await;
        assert_eq!(found.as_ref().ok(), fits.then_some(&false), "{mode_name}: {found:?}");
    }
    // Whoever may come either way: `allow` does without.
    for (mode_name, encrypted) in [("disable", false), ("allow", false), ("prefer", true), ("require", true)] {
        let login = json!({"database.user": good.address.user, "database.password": good.address.password});
        let found = connects(good, "postgres", with(mode(mode_name, None), &login)).await;
        assert_eq!(found, Ok(encrypted), "{mode_name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_bound_to_the_channel_and_a_key_may_stand_for_it() {
    let certificates = Certificates::make(&unique("tls_bound")).unwrap();
    let server = server("tls_bound", &certificates).await;
    let binding = |mode: &str, wanted: &str| json!({"database.sslmode": mode, "database.channelBinding": wanted});
    for wanted in ["disable", "prefer", "require"] {
        assert_eq!(connects(&server, "encrypted", binding("require", wanted)).await, Ok(true), "{wanted}");
    }
    let refused = connects(&server, "plain", binding("disable", "require")).await.unwrap_err();
    assert!(refused.contains("Channel binding is required, but the connection is not encrypted"), "{refused}");
    let refused = connects(&server, "old", binding("require", "require")).await.unwrap_err();
    assert!(refused.contains("Channel binding is required, but server requested"), "{refused}");
    assert_eq!(connects(&server, "old", binding("require", "prefer")).await, Ok(true));
    let wrong = connects(&server, "encrypted", json!({"database.password": "hush"})).await.unwrap_err();
    assert!(wrong.contains("password authentication failed") && !wrong.contains("hush"), "{wrong}");

    let files = |key: &Path| {
        json!({
            "database.sslmode": "verify-full",
            "database.sslrootcert": certificates.authority.display().to_string(),
            "database.sslcert": certificates.client.display().to_string(),
            "database.sslkey": key.display().to_string(),
            "database.password": null,
        })
    };
    for key in [&certificates.client_key, &certificates.client_key_der] {
        assert_eq!(connects(&server, CLIENT, files(key)).await, Ok(true), "{}", key.display());
    }
    let without = connects(&server, CLIENT, mode("require", None)).await.unwrap_err();
    assert!(without.contains("connection requires a valid client certificate"), "{without}");
    let bound = with(files(&certificates.client_key), &json!({"database.channelBinding": "require"}));
    let refused = connects(&server, CLIENT, bound).await.unwrap_err();
    assert!(refused.contains("Channel binding is required, but server skipped authentication"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_its_certificate_may_come_in_pkcs12() {
    let certificates = Certificates::make(&unique("tls_pkcs12")).unwrap();
    let server = server("tls_pkcs12", &certificates).await;
    let store = |key: &Path, password: Value| {
        json!({
            "database.sslmode": "verify-full",
            "database.sslrootcert": certificates.authority.display().to_string(),
            "database.sslkey": key.display().to_string(),
            "database.sslpassword": password,
            "database.password": null,
        })
    };
    let right = || store(&certificates.client_store, json!(STORE_PASSWORD));
    assert_eq!(connects(&server, CLIENT, right()).await, Ok(true));
    // The same file under the other name that says what it is; a certificate beside it is not looked at.
    let pfx = certificates.client_store.with_extension("PFX");
    std::fs::copy(&certificates.client_store, &pfx).unwrap();
    let beside = json!({"database.sslcert": certificates.server.display().to_string()});
    assert_eq!(connects(&server, CLIENT, with(store(&pfx, json!(STORE_PASSWORD)), &beside)).await, Ok(true));

    for password in [json!("hush"), Value::Null] {
        let wrong = connects(&server, CLIENT, store(&certificates.client_store, password)).await.unwrap_err();
        assert!(wrong.contains("database.sslkey") && wrong.contains("is its password right?"), "{wrong}");
        assert!(!wrong.contains("hush"), "{wrong}");
    }
    let missing = certificates.client_store.with_file_name("missing.p12");
    let missing = connects(&server, CLIENT, store(&missing, json!(STORE_PASSWORD))).await.unwrap_err();
    assert!(missing.contains("missing.p12' can't be read"), "{missing}");
}
