//! Paths that the JVM worker's servlet container refuses as ambiguous, before any route is looked up.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::RestError;

/// Answers 400 to an encoded slash, percent or backslash, to an empty segment and to a broken escape.
pub(crate) async fn refuse_ambiguous(request: Request, next: Next) -> Response {
    if is_ambiguous(request.uri().path()) {
        return RestError::new(StatusCode::BAD_REQUEST, "Ambiguous URI").into_response();
    }
    next.run(request).await
}

fn is_ambiguous(path: &str) -> bool {
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'/', [b'/', ..]) => return true,
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    if matches!(high << 4 | low, b'/' | b'%' | b'\\') {
                        return true;
                    }
                    rest = after;
                    continue;
                }
                _ => return true,
            },
            (b'%', _) => return true,
            _ => {}
        }
        rest = tail;
    }
    false
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::is_ambiguous;

    #[test]
    fn refuses_what_jetty_refuses() {
        for path in ["/connectors/a%2Fb", "/a%25b", "/a%5Cb", "/a%5cb", "/connectors//a", "//a", "/%zz", "/%2", "/%"] {
            assert!(is_ambiguous(path), "{path}");
        }
        for path in ["/", "/connectors/", "/connectors/a%20b", "/connectors/%E6%97%A5", "/a+b", "/a:b"] {
            assert!(!is_ambiguous(path), "{path}");
        }
    }
}
