//! Free ports of the loopback interface.
//!
//! They come from below the range from which the kernel takes the ports of outgoing connections, so that none is gone
//! between the look and the server's own bind; no port is given twice within a process.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;

use rand::Rng;

use super::failure::Failure;

const RANGE: std::ops::Range<u16> = 20_000..32_000;
const ATTEMPTS: usize = 200;

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port on which nothing listens now.
pub fn free() -> Result<u16, Failure> {
    let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for _ in 0..ATTEMPTS {
        let port = rand::rng().random_range(RANGE);
        if !given.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    Err(Failure::new(format!("found no free port between {} and {}", RANGE.start, RANGE.end)))
}
