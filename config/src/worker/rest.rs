//! The REST API (`RestServerConfig`).

use crate::worker::checks::{header_rules, listener_list};

crate::config! {
    /// The keys of the REST API.
    pub struct RestConfig {
        /// Addresses of the REST API, as URLs separated by commas: "http://host:port" or "https://host:port". No host
        /// listens on all interfaces.
        "listeners" => listeners: Vec<String> = "http://:8083" { validator(listener_list(true)), importance(Low) },
        /// Host name under which other workers reach this one.
        "rest.advertised.host.name" => advertised_host: Option<String> = NULL { importance(Low) },
        /// Port under which other workers reach this one.
        "rest.advertised.port" => advertised_port: Option<i32> = NULL { importance(Low) },
        /// Protocol over which other workers reach this one: "http" or "https". Not given: http where a listener speaks
        /// it, else https.
        "rest.advertised.listener" => advertised_listener: Option<String> = NULL { importance(Low) },
        /// Origins from which browsers may use the REST API, separated by commas: regular expressions, or "*" for all.
        /// Empty allows no other origin.
        "access.control.allow.origin" => allow_origin: String = "" { importance(Low) },
        /// Methods that other origins may use, separated by commas. Empty stands for GET, POST and HEAD.
        "access.control.allow.methods" => allow_methods: String = "" { importance(Low) },
        /// Rules for headers of responses: "[action] [header name]:[header value]", separated by commas, in double
        /// quotes when one has a comma. They do not apply to "admin.listeners". Actions are "set", "add", "setDate" and "addDate"; the value of the last two is a number of milliseconds
        /// from now.
        "response.http.headers.config" => response_headers: String = "" { validator(header_rules()), importance(Low) },
        /// Whether the REST API over HTTPS asks clients for a certificate: "required", "requested" or "none". Also under
        /// the prefixes "listeners.https." and "admin.listeners.https.".
        "ssl.client.auth" => client_auth: String = "none" { validator(one_of(["required", "requested", "none"])), importance(Low) },
        /// Extensions of the REST API. The one that there is,
        /// "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension", asks for user names and
        /// passwords, except on "admin.listeners". Its login configuration (JAAS) has the entry "KafkaConnect" with
        /// modules "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule" and is the file that
        /// "-Djava.security.auth.login.config=" names in the environment variable KAFKA_OPTS.
        "rest.extension.classes" => rest_extensions: Vec<String> = "" { importance(Low) },
        /// Addresses of the admin endpoints, as URLs. Not given: the same as "listeners". Empty: there are none.
        "admin.listeners" => admin_listeners: Option<Vec<String>> = NULL { validator(listener_list(false)), importance(Low) },
        /// Largest body of a request, in bytes; a larger one is answered with 413. Not known to the JVM's worker.
        "rest.max.request.bytes" => max_request_bytes: i32 = "33554432" { validator(at_least(1)), importance(Low) },
        /// Most connections that a listener serves at the same time; more wait. Not known to the JVM's worker.
        "rest.max.connections" => max_connections: i32 = "1024" { validator(at_least(1)), importance(Low) },
    }
}
