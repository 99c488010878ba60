//! Headers that the worker's configuration puts on every response (KIP-577).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::settings::HeaderRule;

/// Applies the rules in their order.
pub(crate) async fn apply(State(rules): State<Arc<[HeaderRule]>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for rule in rules.iter() {
        match rule {
            HeaderRule::Set { name, value, only_if_absent } => {
                if !(*only_if_absent && headers.contains_key(name)) {
                    headers.insert(name, value.clone());
                }
            }
            HeaderRule::Add { name, value, only_if_absent } => {
                if !(*only_if_absent && headers.contains_key(name)) {
                    headers.append(name, value.clone());
                }
            }
        }
    }
    response
}
