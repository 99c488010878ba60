//! A TCP proxy that misbehaves on request: it refuses, cuts, stalls or delays.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::failure::{Failure, OrFail};

const BUFFER_BYTES: usize = 64 * 1024;

/// What the proxy does with connections, open and new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes pass.
    None,
    /// Open connections are closed, new ones are closed at once.
    Cut,
    /// Connections stay open, nothing passes.
    Stall,
    /// Every piece of data waits before it passes.
    Delay(Duration),
}

/// A proxy before one server. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    fault: Arc<watch::Sender<Fault>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and passes on to `upstream` (`host:port`).
    pub async fn start(upstream: &str) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.or_fail("failed to open a port for the proxy")?;
        let address = listener.local_addr().or_fail("failed to look up the proxy's port")?;
        let fault = Arc::new(watch::Sender::new(Fault::None));
        let accepting = tokio::spawn(accept(listener, upstream.to_owned(), Arc::clone(&fault)));
        Ok(Self { address, fault, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.fault.send_replace(Fault::Cut);
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: String, fault: Arc<watch::Sender<Fault>>) {
    while let Ok((client, _)) = listener.accept().await {
        let faults = fault.subscribe();
        if *faults.borrow() == Fault::Cut {
            continue;
        }
        let upstream = upstream.clone();
        tokio::spawn(async move {
            if let Ok(server) = TcpStream::connect(&upstream).await {
                connection(client, server, faults).await;
            }
        });
    }
}

/// Passes both ways until one side ends or the connection is cut.
async fn connection(client: TcpStream, server: TcpStream, faults: watch::Receiver<Fault>) {
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let mut cut = faults.clone();
    tokio::select! {
        () = pass(client_read, server_write, faults.clone()) => {}
        () = pass(server_read, client_write, faults) => {}
        _ = cut.wait_for(|fault| *fault == Fault::Cut) => {}
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut faults: watch::Receiver<Fault>,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let Ok(fault) = faults.wait_for(|fault| *fault != Fault::Stall).await.map(|fault| *fault) else { return };
        if let Fault::Delay(delay) = fault {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = socket.split();
                    tokio::io::copy(&mut read, &mut write).await.ok();
                });
            }
        });
        (address, serving)
    }

    async fn round_trip(socket: &mut TcpStream) -> Option<u8> {
        socket.write_all(b"x").await.ok()?;
        let mut answer = [0; 1];
        let read = tokio::time::timeout(Duration::from_millis(300), socket.read_exact(&mut answer)).await;
        read.ok()?.ok()?;
        Some(answer[0])
    }

    #[tokio::test]
    async fn bytes_pass_stall_and_pass_again() {
        let (address, _serving) = echo().await;
        let proxy = Proxy::start(&address).await.unwrap();
        let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut socket).await, Some(b'x'));
        proxy.set(Fault::Stall);
        assert_eq!(round_trip(&mut socket).await, None);
        proxy.set(Fault::None);
        let mut late = [0; 1];
        socket.read_exact(&mut late).await.unwrap();
        assert_eq!(late, *b"x", "what was held back arrives");
    }

    #[tokio::test]
    async fn a_cut_ends_open_connections_and_refuses_new_ones() {
        let (address, _serving) = echo().await;
        let proxy = Proxy::start(&address).await.unwrap();
        let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut socket).await, Some(b'x'));
        proxy.set(Fault::Cut);
        assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0, "the connection is closed");
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut refused).await, None);
        proxy.set(Fault::None);
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut again).await, Some(b'x'));
    }
}
