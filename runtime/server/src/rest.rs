//! From the worker's REST settings to those of the API.

use std::net::{TcpListener, UdpSocket};

use connect_config::ConfigError;
use connect_config::worker::{Listener, RestConfig, TopicTrackingConfig};
use connect_rest::{AdminListeners, Cors, RestSettings, SettingsError};

/// What the API listens on and how others reach it.
#[derive(Debug)]
pub struct Addresses {
    pub settings: RestSettings,
    /// With a slash at its end.
    pub advertised_url: String,
    /// `host:port` of it: the worker's name in statuses.
    pub worker_id: String,
}

/// Why the REST settings are unfit.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("failed to find a free port for a listener with port 0")]
    Port(#[source] std::io::Error),
}

/// Reads the settings. A listener with port 0 gets a free port here, because the group has to be told it.
pub fn addresses(rest: &RestConfig, tracking: &TopicTrackingConfig) -> Result<Addresses, RestError> {
    let mut bound: Vec<Listener> = rest.parsed_listeners()?;
    let mut listeners = RestSettings::parse_listeners(&rest.listeners)?;
    for (listener, address) in bound.iter_mut().zip(&mut listeners) {
        if listener.port == 0 {
            listener.port = free_port().map_err(RestError::Port)?;
            let host = address.rsplit_once(':').map_or("", |(host, _)| host);
            *address = format!("{host}:{}", listener.port);
        }
    }
    let admin_listeners = match &rest.admin_listeners {
        None => AdminListeners::Main,
        Some(urls) if urls.is_empty() => AdminListeners::Disabled,
        Some(urls) => AdminListeners::Own(RestSettings::parse_listeners(urls)?),
    };
    let list = |text: &str| text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let origins: Vec<String> = list(&rest.allow_origin);
    let settings = RestSettings {
        listeners,
        admin_listeners,
        cors: (!origins.is_empty()).then(|| Cors { origins, methods: list(&rest.allow_methods) }),
        response_headers: RestSettings::parse_header_rules(&rest.response_headers)?,
        topic_tracking: tracking.topic_tracking,
        topic_tracking_reset: tracking.topic_tracking_reset,
    };
    let advertised_url = rest.advertised_url(&bound, &local_address())?;
    let worker_id = advertised_url
        .split_once("://")
        .map_or(advertised_url.as_str(), |(_, address)| address)
        .trim_end_matches('/')
        .to_owned();
    Ok(Addresses { settings, advertised_url, worker_id })
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("0.0.0.0", 0))?.local_addr()?.port())
}

/// The address of this machine that others see: that of the way out. Nothing is sent.
fn local_address() -> String {
    let way_out = || {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        // An address that is reserved for documentation: only the route to it counts.
        socket.connect(("192.0.2.1", 9))?;
        socket.local_addr()
    };
    way_out().map_or_else(|_: std::io::Error| "127.0.0.1".to_owned(), |address| address.ip().to_string())
}

#[cfg(test)]
mod tests {
    use connect_config::Props;

    use super::*;

    fn parse(entries: &[(&str, &str)]) -> Addresses {
        let props: Props = entries.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        let rest = RestConfig::parse(&props).unwrap();
        addresses(&rest, &TopicTrackingConfig::parse(&Props::new()).unwrap()).unwrap()
    }

    #[test]
    fn a_free_port_is_found_and_advertised() {
        let found = parse(&[("listeners", "http://127.0.0.1:0")]);
        assert!(!found.worker_id.ends_with(":0"), "{found:?}");
        assert_eq!(found.advertised_url, format!("http://{}/", found.worker_id));
        assert_eq!(found.settings.listeners, [found.worker_id]);
    }

    #[test]
    fn the_advertised_address_names_the_worker() {
        let found = parse(&[
            ("listeners", "http://:8083"),
            ("rest.advertised.host.name", "w1"),
            ("rest.advertised.port", "80"),
            ("admin.listeners", ""),
            ("access.control.allow.origin", "http://a"),
        ]);
        assert_eq!((found.worker_id.as_str(), found.advertised_url.as_str()), ("w1:80", "http://w1:80/"));
        assert_eq!(found.settings.admin_listeners, AdminListeners::Disabled);
        assert_eq!(found.settings.cors.map(|cors| cors.origins), Some(vec!["http://a".to_owned()]));
    }
}
