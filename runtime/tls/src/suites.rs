//! Versions of TLS and cipher suites by the names that Java gives them.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};

use crate::TlsError;

/// Names of protocols that Java knows and that are not offered here, because they are broken.
const OLD: [&str; 5] = ["SSL", "SSLv2Hello", "SSLv3", "TLSv1", "TLSv1.1"];

/// The versions that `ssl.enabled.protocols` allows.
pub(crate) fn versions(names: &[String]) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let mut versions = Vec::new();
    for name in names {
        match name.as_str() {
            "TLSv1.3" => versions.push(&TLS13),
            "TLSv1.2" => versions.push(&TLS12),
            old if OLD.contains(&old) => tracing::warn!(protocol = old, "this version of TLS is not offered"),
            other => {
                return Err(TlsError::new(format!(
                    "ssl.enabled.protocols: '{other}' is not a version of TLS: use TLSv1.2 or TLSv1.3"
                )));
            }
        }
    }
    if versions.is_empty() {
        return Err(TlsError::new("ssl.enabled.protocols allows neither TLSv1.2 nor TLSv1.3: allow one of them"));
    }
    Ok(versions)
}

/// The suites that `ssl.cipher.suites` allows, in our order of preference; all when it is not given.
pub(crate) fn provider(names: Option<&[String]>) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = ring::default_provider();
    if let Some(names) = names.filter(|names| !names.is_empty()) {
        let known: Vec<String> = provider.cipher_suites.iter().map(|suite| java_name(suite.suite())).collect();
        for unknown in names.iter().filter(|name| !known.contains(name)) {
            tracing::warn!(suite = unknown, "this cipher suite is not supported");
        }
        provider.cipher_suites.retain(|suite| names.contains(&java_name(suite.suite())));
        if provider.cipher_suites.is_empty() {
            return Err(TlsError::new(format!(
                "ssl.cipher.suites: none of {} is supported: use some of {}",
                names.join(", "),
                known.join(", ")
            )));
        }
    }
    Ok(Arc::new(provider))
}

/// `TLS_AES_128_GCM_SHA256`, as Java and the standard have it.
fn java_name(suite: rustls::CipherSuite) -> String {
    let name = format!("{suite:?}");
    name.strip_prefix("TLS13_").map_or(name.clone(), |rest| format!("TLS_{rest}"))
}

/// OpenSSL's names of Java's TLS 1.2 suites, as far as they are safe ones: `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is
/// `ECDHE-RSA-AES128-GCM-SHA256`. Those of TLS 1.3 are not chosen in that way, and are left out.
pub fn openssl_names(java: &str) -> Vec<String> {
    let known = ring::default_provider().cipher_suites;
    java.split(',')
        .map(str::trim)
        .filter(|name| name.contains("_WITH_") && known.iter().any(|suite| java_name(suite.suite()) == *name))
        .map(|name| {
            let short = name.trim_start_matches("TLS_").replace("_WITH_", "_").replace("AES_", "AES");
            short.replace('_', "-").replace("CHACHA20-POLY1305-SHA256", "CHACHA20-POLY1305")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn old_versions_are_left_out_and_unknown_ones_refused() {
        assert_eq!(versions(&names(&["TLSv1.1", "TLSv1.2"])).unwrap(), [&TLS12]);
        assert_eq!(versions(&names(&["TLSv1.2", "TLSv1.3"])).unwrap(), [&TLS12, &TLS13]);
        assert!(versions(&names(&["TLSv1"])).unwrap_err().to_string().contains("neither"));
        assert!(versions(&names(&["TLSv9"])).unwrap_err().to_string().contains("TLSv9"));
    }

    #[test]
    fn suites_are_chosen_by_javas_names() {
        let chosen = provider(Some(&names(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "X"])));
        assert_eq!(chosen.unwrap().cipher_suites.len(), 2);
        let all = provider(None).unwrap().cipher_suites.len();
        assert_eq!(provider(Some(&[])).unwrap().cipher_suites.len(), all);
        assert!(provider(Some(&names(&["FOO"]))).unwrap_err().to_string().contains("TLS_AES_128_GCM_SHA256"));
    }

    #[test]
    fn openssl_calls_them_otherwise() {
        assert_eq!(
            openssl_names(
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, \
                 TLS_AES_128_GCM_SHA256,FOO"
            ),
            ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"]
        );
    }
}
