//! SASL towards brokers (`SaslConfigs`).

use crate::declare::ClassName;
use crate::secret::Secret;

crate::config! {
    /// The keys of SASL.
    pub struct SaslConfig {
        /// Kerberos principal name of the brokers.
        "sasl.kerberos.service.name" => kerberos_service_name: Option<String> = NULL { importance(Medium) },
        /// Path of kinit.
        "sasl.kerberos.kinit.cmd" => kerberos_kinit: String = "/usr/bin/kinit" { importance(Low) },
        /// Share of a ticket's lifetime after which it is renewed.
        "sasl.kerberos.ticket.renew.window.factor" => kerberos_renew_window: f64 = "0.8" { importance(Low) },
        /// Share of random time added to the renewal of a ticket.
        "sasl.kerberos.ticket.renew.jitter" => kerberos_renew_jitter: f64 = "0.05" { importance(Low) },
        /// Shortest time between two logins, in milliseconds.
        "sasl.kerberos.min.time.before.relogin" => kerberos_min_time: i64 = "60000" { importance(Low) },
        /// Share of a credential's lifetime after which it is refreshed.
        "sasl.login.refresh.window.factor" => login_refresh_window: f64 = "0.8" { validator(between(0.5, 1.0)), importance(Low) },
        /// Share of random time added to the refresh of a credential.
        "sasl.login.refresh.window.jitter" => login_refresh_jitter: f64 = "0.05" { validator(between(0.0, 0.25)), importance(Low) },
        /// Shortest time before a credential is refreshed, in seconds.
        "sasl.login.refresh.min.period.seconds" => login_refresh_min_period: i16 = "60" { validator(between(0, 900)), importance(Low) },
        /// Time kept before a credential expires, in seconds.
        "sasl.login.refresh.buffer.seconds" => login_refresh_buffer: i16 = "300" { validator(between(0, 3600)), importance(Low) },
        /// SASL mechanism: "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER" or "GSSAPI".
        "sasl.mechanism" => mechanism: String = "GSSAPI" { importance(Medium) },
        /// Login with user name and password, in the format of JAAS: "<login module> required username=...
        /// password=...;".
        "sasl.jaas.config" => jaas_config: Option<Secret> = NULL { importance(Medium) },
        /// Accepted and not used: Java classes can not be loaded.
        "sasl.client.callback.handler.class" => client_callback_handler: Option<ClassName> = NULL { importance(Medium) },
        /// Callback handler of the login; the OAuth one of Kafka is known.
        "sasl.login.callback.handler.class" => login_callback_handler: Option<ClassName> = NULL { importance(Medium) },
        /// Accepted and not used: Java classes can not be loaded.
        "sasl.login.class" => login_class: Option<ClassName> = NULL { importance(Medium) },
        /// How long connecting to the token endpoint may take, in milliseconds.
        "sasl.login.connect.timeout.ms" => login_connect_timeout: Option<i32> = NULL { importance(Low) },
        /// How long reading from the token endpoint may take, in milliseconds.
        "sasl.login.read.timeout.ms" => login_read_timeout: Option<i32> = NULL { importance(Low) },
        /// Longest pause before a login is tried again, in milliseconds.
        "sasl.login.retry.backoff.max.ms" => login_retry_backoff_max: i64 = "10000" { importance(Low) },
        /// First pause before a login is tried again, in milliseconds.
        "sasl.login.retry.backoff.ms" => login_retry_backoff: i64 = "100" { importance(Low) },
        /// Way to get a token; the default one is known.
        "sasl.oauthbearer.jwt.retriever.class" => oauth_jwt_retriever: ClassName = "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever" { importance(Medium) },
        /// Way to check a token; the default one is known.
        "sasl.oauthbearer.jwt.validator.class" => oauth_jwt_validator: ClassName = "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator" { importance(Medium) },
        /// Scope to ask the token endpoint for.
        "sasl.oauthbearer.scope" => oauth_scope: Option<String> = NULL { importance(Medium) },
        /// Client id for the grant by client credentials.
        "sasl.oauthbearer.client.credentials.client.id" => oauth_client_id: Option<String> = NULL { importance(Medium) },
        /// Client secret for the grant by client credentials.
        "sasl.oauthbearer.client.credentials.client.secret" => oauth_client_secret: Option<Secret> = NULL { importance(Medium) },
        /// Algorithm that signs an assertion.
        "sasl.oauthbearer.assertion.algorithm" => oauth_assertion_algorithm: String = "RS256" { validator(one_of_ignoring_case(["es256", "rs256"])), importance(Medium) },
        /// Audience of an assertion.
        "sasl.oauthbearer.assertion.claim.aud" => oauth_assertion_aud: Option<String> = NULL { importance(Medium) },
        /// Lifetime of an assertion, in seconds.
        "sasl.oauthbearer.assertion.claim.exp.seconds" => oauth_assertion_exp: i32 = "300" { validator(between(0, 86400)), importance(Low) },
        /// Issuer of an assertion.
        "sasl.oauthbearer.assertion.claim.iss" => oauth_assertion_iss: Option<String> = NULL { importance(Medium) },
        /// Whether an assertion gets an id of its own.
        "sasl.oauthbearer.assertion.claim.jti.include" => oauth_assertion_jti: bool = "false" { importance(Medium) },
        /// How many seconds before now an assertion begins to be valid.
        "sasl.oauthbearer.assertion.claim.nbf.seconds" => oauth_assertion_nbf: i32 = "60" { validator(between(0, 3600)), importance(Low) },
        /// Subject of an assertion.
        "sasl.oauthbearer.assertion.claim.sub" => oauth_assertion_sub: Option<String> = NULL { importance(Medium) },
        /// File that holds a ready assertion.
        "sasl.oauthbearer.assertion.file" => oauth_assertion_file: Option<String> = NULL { importance(Medium) },
        /// File of the private key that signs an assertion.
        "sasl.oauthbearer.assertion.private.key.file" => oauth_private_key_file: Option<String> = NULL { importance(Medium) },
        /// Passphrase of that key.
        "sasl.oauthbearer.assertion.private.key.passphrase" => oauth_private_key_passphrase: Option<Secret> = NULL { importance(Medium) },
        /// File with fixed headers and claims of an assertion.
        "sasl.oauthbearer.assertion.template.file" => oauth_assertion_template: Option<String> = NULL { importance(Medium) },
        /// Claim of a token that holds the scope.
        "sasl.oauthbearer.scope.claim.name" => oauth_scope_claim: String = "scope" { importance(Low) },
        /// Claim of a token that holds the subject.
        "sasl.oauthbearer.sub.claim.name" => oauth_sub_claim: String = "sub" { importance(Low) },
        /// URL of the token endpoint.
        "sasl.oauthbearer.token.endpoint.url" => oauth_token_url: Option<String> = NULL { importance(Medium) },
        /// URL of the key set that checks tokens.
        "sasl.oauthbearer.jwks.endpoint.url" => oauth_jwks_url: Option<String> = NULL { importance(Medium) },
        /// Time between two refreshes of the key set, in milliseconds.
        "sasl.oauthbearer.jwks.endpoint.refresh.ms" => oauth_jwks_refresh: i64 = "3600000" { importance(Low) },
        /// Longest pause before the key set is asked for again, in milliseconds.
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" => oauth_jwks_backoff_max: i64 = "10000" { importance(Low) },
        /// First pause before the key set is asked for again, in milliseconds.
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" => oauth_jwks_backoff: i64 = "100" { importance(Low) },
        /// Difference of clocks to allow for, in seconds.
        "sasl.oauthbearer.clock.skew.seconds" => oauth_clock_skew: i32 = "30" { importance(Low) },
        /// Audiences of which a token must have one.
        "sasl.oauthbearer.expected.audience" => oauth_expected_audience: Option<Vec<String>> = NULL { importance(Low) },
        /// Issuer that a token must have.
        "sasl.oauthbearer.expected.issuer" => oauth_expected_issuer: Option<String> = NULL { importance(Low) },
        /// Whether client id and secret are URL-encoded in the authorization header.
        "sasl.oauthbearer.header.urlencode" => oauth_urlencode: bool = "false" { importance(Low) },
    }
}
