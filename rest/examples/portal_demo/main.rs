//! The portal with jobs that only pretend, for people who work on it or want to look at it without a cluster:
//!
//!     cargo run -p connect-rest --example portal_demo
//!     cargo run -p connect-rest --example portal_demo -- http://127.0.0.1:8090

mod demo;

use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8090".to_owned());
    let demo = demo::Demo::start(&listener, 1.0).await?;
    println!("The portal is at {}/portal; Ctrl-C ends it.", demo.url);
    tokio::signal::ctrl_c().await?;
    demo.stop().await;
    Ok(())
}
