//! The portal, and who may see it.

use std::sync::Arc;

use connect_rest::BasicAuth;
use reqwest::Method;

use crate::api::Api;
use crate::views::whole;

#[tokio::test]
async fn passwords_are_asked_for_everywhere_and_browsers_are_told_so() {
    let extension = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension".to_owned();
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("users.properties");
    std::fs::write(&users, "ann=secret\n").unwrap();
    let login = format!(
        "KafkaConnect {{\n org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required file=\"{}\";\n}};",
        users.display()
    );
    let auth = BasicAuth::from_extensions(&[extension], Some(&login)).unwrap().map(Arc::new);
    let api = Api::with(|settings| settings.auth = auth, true).await;
    api.jobs.put(whole());
    for path in ["/jobs", "/jobs/shop", "/jobs/-/events", "/portal", "/portal/app.js"] {
        let refused = api.send(Method::GET, path, None).await;
        assert_eq!(refused.status(), 401, "{path}");
        assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic realm="), "{path}");
        let let_in = api.request(Method::GET, path).basic_auth("ann", Some("secret")).send().await.unwrap();
        assert_eq!(let_in.status(), 200, "{path}");
    }
    let connect = api.send(Method::GET, "/connectors", None).await;
    assert_eq!((connect.status().as_u16(), connect.headers().get("www-authenticate")), (401, None), "as on the JVM");
    let asks = api.request(Method::GET, "/connectors").header("X-Tidegate-By", "portal").send().await.unwrap();
    assert!(asks.headers().contains_key("www-authenticate"));
    api.stop().await;
}

#[tokio::test]
async fn the_portal_is_served_with_all_that_it_needs_and_a_strict_policy() {
    let api = Api::start().await;
    for (path, media) in [
        ("/portal", "text/html; charset=utf-8"),
        ("/portal/", "text/html; charset=utf-8"),
        ("/portal/app.js", "text/javascript; charset=utf-8"),
        ("/portal/style.css", "text/css; charset=utf-8"),
        ("/portal/icon.svg", "image/svg+xml"),
    ] {
        let browser = api.request(Method::GET, path).header("Accept", "text/html,application/xhtml+xml;q=0.9");
        let answer = browser.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (200, media),
            "{path}"
        );
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let tag = answer.headers()["etag"].clone();
        let again = api.request(Method::GET, path).header("If-None-Match", tag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.headers()["cache-control"].to_str().unwrap()), (304, "no-cache"));
        assert!(again.bytes().await.unwrap().is_empty());
    }
    // Whatever the page names is there, whichever of its paths it was asked by.
    for (path, place) in [("/portal", "/"), ("/portal/", "/portal/")] {
        let page = api.send(Method::GET, path, None).await.text().await.unwrap();
        let named =
            page.split(['"']).filter(|text| text.ends_with(".js") || text.ends_with(".css") || text.ends_with(".svg"));
        for name in named {
            assert_eq!(api.send(Method::GET, &format!("{place}{name}"), None).await.status(), 200, "{path}: {name}");
        }
    }
    api.stop().await;
}
