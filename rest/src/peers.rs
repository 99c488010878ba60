//! The HTTP client for requests between workers (`RestClient`).

use std::time::Duration;

use reqwest::redirect::Policy;

/// The JVM worker's time-out for requests between workers.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Makes the client, with the client's side of TLS for workers that are reached by HTTPS; without it none of them is
/// trusted. It goes to other workers
/// directly, whatever proxy the environment names, and with a connection for each request, as the JVM's does: there
/// are few, and none meets a connection to a worker that was restarted in between.
///
/// # Errors
/// When the settings of TLS don't fit the HTTP client.
pub fn peer_client(tls: Option<rustls::ClientConfig>) -> Result<reqwest::Client, reqwest::Error> {
    let builder =
        reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none()).no_proxy().pool_max_idle_per_host(0);
    match tls {
        Some(tls) => builder.use_preconfigured_tls(tls).build(),
        None => builder.build(),
    }
}
