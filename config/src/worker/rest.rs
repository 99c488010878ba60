//! The REST API (`RestServerConfig`).

use crate::worker::checks::{header_rules, listener_list};

crate::config! {
    /// The keys of the REST API.
    pub struct RestConfig {
        /// Addresses of the REST API, as URLs separated by commas. No host listens on the default interface, 0.0.0.0
        /// on all.
        "listeners" => listeners: Vec<String> = "http://:8083" { validator(listener_list(true)), importance(Low) },
        /// Host name under which other workers reach this one.
        "rest.advertised.host.name" => advertised_host: Option<String> = NULL { importance(Low) },
        /// Port under which other workers reach this one.
        "rest.advertised.port" => advertised_port: Option<i32> = NULL { importance(Low) },
        /// Protocol over which other workers reach this one: "http" or "https".
        "rest.advertised.listener" => advertised_listener: Option<String> = NULL { importance(Low) },
        /// Value of the header Access-Control-Allow-Origin. Empty allows no other origin.
        "access.control.allow.origin" => allow_origin: String = "" { importance(Low) },
        /// Methods that other origins may use, separated by commas. Empty stands for GET, POST and HEAD.
        "access.control.allow.methods" => allow_methods: String = "" { importance(Low) },
        /// Rules for headers of responses: "[action] [header name]:[header value]", separated by commas, in double
        /// quotes when a value has a comma. Actions are "set", "add", "setDate" and "addDate".
        "response.http.headers.config" => response_headers: String = "" { validator(header_rules()), importance(Low) },
        /// Whether the REST API over HTTPS asks clients for a certificate: "required", "requested" or "none".
        "ssl.client.auth" => client_auth: String = "none" { validator(one_of(["required", "requested", "none"])), importance(Low) },
        /// Extensions of the REST API, such as
        /// "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension".
        "rest.extension.classes" => rest_extensions: Vec<String> = "" { importance(Low) },
        /// Addresses of the admin endpoints. Not given: the same as "listeners". Empty: there are none.
        "admin.listeners" => admin_listeners: Option<Vec<String>> = NULL { validator(listener_list(false)), importance(Low) },
    }
}
