//! TLS towards brokers and, under the prefix `listeners.https.`, of the REST API (`SslConfigs`).

use crate::declare::ClassName;
use crate::secret::Secret;

crate::config! {
    /// The keys of TLS.
    pub struct TlsConfig {
        /// Accepted and not used: TLS 1.3 and 1.2 are offered.
        "ssl.protocol" => protocol: String = "TLSv1.3" { importance(Medium) },
        /// Accepted and not used: there is one implementation of TLS.
        "ssl.provider" => provider: Option<String> = NULL { importance(Medium) },
        /// Cipher suites to offer, by Java's names; all secure ones when it is not given.
        "ssl.cipher.suites" => cipher_suites: Option<Vec<String>> = NULL { importance(Low) },
        /// Versions of TLS that may be used; those before TLSv1.2 are not offered.
        "ssl.enabled.protocols" => enabled_protocols: Vec<String> = "TLSv1.2,TLSv1.3" { importance(Medium) },
        /// Format of the key store: "PEM", "PKCS12" or "JKS". What a file is shows its content.
        "ssl.keystore.type" => keystore_type: String = "JKS" { importance(Medium) },
        /// File of the key store.
        "ssl.keystore.location" => keystore_location: Option<String> = NULL { importance(High) },
        /// Password of the key store.
        "ssl.keystore.password" => keystore_password: Option<Secret> = NULL { importance(High) },
        /// Password of the private key. Not given: that of the key store.
        "ssl.key.password" => key_password: Option<Secret> = NULL { importance(High) },
        /// Private key in PEM, in place of a key store.
        "ssl.keystore.key" => keystore_key: Option<Secret> = NULL { importance(High) },
        /// Certificate chain in PEM, in place of a key store.
        "ssl.keystore.certificate.chain" => certificate_chain: Option<Secret> = NULL { importance(High) },
        /// Trusted certificates in PEM, in place of a trust store.
        "ssl.truststore.certificates" => truststore_certificates: Option<Secret> = NULL { importance(High) },
        /// Format of the trust store: "PEM", "PKCS12" or "JKS".
        "ssl.truststore.type" => truststore_type: String = "JKS" { importance(Medium) },
        /// File of the trust store. Not given: the system's certificates are trusted, by the REST API those of the key store.
        "ssl.truststore.location" => truststore_location: Option<String> = NULL { importance(High) },
        /// Password of the trust store.
        "ssl.truststore.password" => truststore_password: Option<Secret> = NULL { importance(High) },
        /// Accepted and not used.
        "ssl.keymanager.algorithm" => keymanager_algorithm: String = "SunX509" { importance(Low) },
        /// Accepted and not used.
        "ssl.trustmanager.algorithm" => trustmanager_algorithm: String = "PKIX" { importance(Low) },
        /// "https" checks that a server's certificate is for its host name; empty does not.
        "ssl.endpoint.identification.algorithm" => endpoint_identification: String = "https" { importance(Low) },
        /// Accepted and not used.
        "ssl.secure.random.implementation" => secure_random: Option<String> = NULL { importance(Low) },
        /// Accepted and not used: there is one implementation of TLS.
        "ssl.engine.factory.class" => engine_factory: Option<ClassName> = NULL { importance(Low) },
    }
}
