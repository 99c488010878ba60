//! Where webhooks arrive.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use integration_tests::testbed::eventually_async;
use parking_lot::Mutex;
use serde_json::Value;

use crate::support::LIMIT;

/// A body, and its signature.
type Post = (Value, Option<String>);

/// A server that webhooks are posted to.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    pub(crate) got: Arc<Mutex<Vec<Post>>>,
    /// How many more posts it refuses.
    refuse: Arc<Mutex<u32>>,
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut refuse = receiver.refuse.lock();
    if *refuse > 0 {
        *refuse -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let signature = headers.get("x-tidegate-signature").and_then(|value| value.to_str().ok()).map(str::to_owned);
    receiver.got.lock().push((serde_json::from_slice(&body).unwrap(), signature));
    StatusCode::NO_CONTENT
}

impl Receiver {
    /// One on a free port, and its URL.
    pub(crate) async fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = axum::Router::new().route("/hook", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, url)
    }

    /// From which state to which, in the order in which it was told.
    pub(crate) fn states(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or("null").to_owned();
        let got = self.got.lock();
        let changes = got.iter().filter(|(body, _)| body["event"] == "job.state_changed");
        changes.map(|(body, _)| (text(&body["previous_state"]), text(&body["new_state"]))).collect()
    }

    /// Refuses so many posts.
    pub(crate) fn refuse(&self, posts: u32) {
        *self.refuse.lock() = posts;
    }

    /// Waits for a notice that is as wanted; gives it.
    pub(crate) async fn hears(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually_async(&format!("a webhook about {what}"), LIMIT, async || {
            let got = self.got.lock();
            match got.iter().map(|(body, _)| body).find(|body| wanted(body)) {
                Some(body) => Ok(body.clone()),
                None => Err(format!("{:?}", got.iter().map(|(body, _)| body.to_string()).collect::<Vec<_>>())),
            }
        })
        .await
        .unwrap()
    }
}
