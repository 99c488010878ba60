//! Headers that the worker's configuration puts on every response of the main listeners (KIP-577), as Jetty's
//! `HeaderFilter` does: before the answer is made, so that what the API itself sets has the last word.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use connect_config::worker::HeaderAction;

use crate::settings::HeaderRule;

/// Applies the rules in their order.
pub(crate) async fn apply(State(rules): State<Arc<[HeaderRule]>>, request: Request, next: Next) -> Response {
    let mut headers = HeaderMap::new();
    for rule in rules.iter() {
        rule.apply(&mut headers, SystemTime::now());
    }
    // What frames a message is not for rules.
    for framing in [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION] {
        headers.remove(framing);
    }
    let mut response = next.run(request).await;
    for name in response.headers().keys() {
        headers.remove(name);
    }
    response.headers_mut().extend(headers);
    response
}

impl HeaderRule {
    fn apply(&self, headers: &mut HeaderMap, now: SystemTime) {
        let HeaderRule { action, name, value } = self;
        match action {
            HeaderAction::Set => {
                headers.insert(name, value.clone());
            }
            HeaderAction::Add => {
                headers.append(name, value.clone());
            }
            HeaderAction::SetDate(millis) => {
                headers.insert(name, date(now, *millis));
            }
            HeaderAction::AddDate(millis) => {
                headers.append(name, date(now, *millis));
            }
        }
    }
}

/// A date so many milliseconds after `now`, in the form of HTTP. A date that HTTP can't write is the one of now.
fn date(now: SystemTime, millis: i64) -> HeaderValue {
    let offset = Duration::from_millis(millis.unsigned_abs());
    let then = if millis < 0 { now.checked_sub(offset) } else { now.checked_add(offset) };
    // Years from 1970 to 9999 can be written.
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let then = then.filter(|then| (SystemTime::UNIX_EPOCH..=last).contains(then)).unwrap_or(now);
    HeaderValue::from_str(&httpdate::fmt_http_date(then)).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_set_add_and_date() {
        let rules =
            HeaderRule::parse_all("set A: 1, set A: 2, add B: 1, add B: 2, setDate C: 86400000, addDate D: -1000")
                .unwrap();
        let mut headers = HeaderMap::new();
        for rule in &rules {
            rule.apply(&mut headers, SystemTime::UNIX_EPOCH + Duration::from_secs(86_400));
        }
        let all = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!((all("a"), all("b")), (vec!["2"], vec!["1", "2"]));
        assert_eq!(all("c"), ["Sat, 03 Jan 1970 00:00:00 GMT"]);
        assert_eq!(all("d"), ["Thu, 01 Jan 1970 23:59:59 GMT"]);
        assert!(!date(SystemTime::UNIX_EPOCH, i64::MIN).is_empty());
        assert!(!date(SystemTime::UNIX_EPOCH, i64::MAX).is_empty());
    }
}
