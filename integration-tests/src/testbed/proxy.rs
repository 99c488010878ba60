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
    /// What clients send passes, no answer comes.
    StallAnswers,
    /// Every piece of data waits before it passes.
    Delay(Duration),
}

/// A proxy before one server. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// `host:port` of the server that new connections lead to.
    upstream: Arc<watch::Sender<String>>,
    fault: Arc<watch::Sender<Fault>>,
    /// How often the connections of the time were forgotten.
    forgotten: Arc<watch::Sender<u64>>,
    /// How often they were closed to lead elsewhere.
    moved: Arc<watch::Sender<u64>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and passes on to `upstream` (`host:port`).
    pub async fn start(upstream: &str) -> Result<Self, Failure> {
        Self::start_at(0, upstream).await
    }

    /// The same at a port that was chosen before.
    pub async fn start_at(port: u16, upstream: &str) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.or_fail("failed to open a port for the proxy")?;
        let address = listener.local_addr().or_fail("failed to look up the proxy's port")?;
        let fault = Arc::new(watch::Sender::new(Fault::None));
        let (forgotten, moved) = (Arc::new(watch::Sender::new(0)), Arc::new(watch::Sender::new(0)));
        let upstream = Arc::new(watch::Sender::new(upstream.to_owned()));
        let state = (Arc::clone(&fault), Arc::clone(&forgotten), Arc::clone(&moved));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&upstream), state));
        Ok(Self { address, upstream, fault, forgotten, moved, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Leads new connections to another server, as a name does that moves with a failover, and closes the open ones.
    pub fn lead_to(&self, upstream: &str) {
        self.upstream.send_replace(upstream.to_owned());
        self.moved.send_modify(|count| *count += 1);
    }

    /// Leaves the open connections half open, as a firewall does that forgot them: the server's end is closed, the client's
    /// stays, and what is written there goes nowhere. New connections are not concerned.
    pub fn forget(&self) {
        self.forgotten.send_modify(|count| *count += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.fault.send_replace(Fault::Cut);
        self.accepting.abort();
    }
}

type State = (Arc<watch::Sender<Fault>>, Arc<watch::Sender<u64>>, Arc<watch::Sender<u64>>);

async fn accept(listener: TcpListener, upstream: Arc<watch::Sender<String>>, (fault, forgotten, moved): State) {
    while let Ok((client, _)) = listener.accept().await {
        let (faults, forgotten, mut moved) = (fault.subscribe(), forgotten.subscribe(), moved.subscribe());
        if *faults.borrow() == Fault::Cut {
            continue;
        }
        let upstream = upstream.borrow().clone();
        tokio::spawn(async move {
            if let Ok(server) = TcpStream::connect(&upstream).await {
                tokio::select! {
                    () = connection(client, server, faults, forgotten) => {}
                    _ = moved.changed() => {}
                }
            }
        });
    }
}

/// Passes both ways until one side ends or the connection is cut or forgotten.
async fn connection(
    mut client: TcpStream,
    mut server: TcpStream,
    faults: watch::Receiver<Fault>,
    mut forgotten: watch::Receiver<u64>,
) {
    let mut cut = faults.clone();
    {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        tokio::select! {
            () = pass(client_read, server_write, faults.clone(), &[Fault::Stall]) => return,
            () = pass(server_read, client_write, faults, &[Fault::Stall, Fault::StallAnswers]) => return,
            _ = cut.wait_for(|fault| *fault == Fault::Cut) => return,
            told = forgotten.changed() => if told.is_err() { return },
        }
    }
    drop(server);
    let mut nowhere = tokio::io::sink();
    tokio::select! {
        _ = tokio::io::copy(&mut client, &mut nowhere) => {}
        _ = cut.wait_for(|fault| *fault == Fault::Cut) => {}
    }
}

/// Passes one way; holds everything back while one of `held` is the fault.
async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut faults: watch::Receiver<Fault>,
    held: &[Fault],
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let Ok(fault) = faults.wait_for(|fault| !held.contains(fault)).await.map(|fault| *fault) else { return };
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
    use super::super::ports;
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

    #[tokio::test]
    async fn a_forgotten_connection_stays_open_and_dead_and_a_new_one_works() {
        let (address, _serving) = echo().await;
        let proxy = Proxy::start(&address).await.unwrap();
        let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut socket).await, Some(b'x'));
        proxy.forget();
        assert_eq!(round_trip(&mut socket).await, None);
        assert!(socket.write_all(b"y").await.is_ok(), "the client's end is open");
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut new).await, Some(b'x'));
    }

    #[tokio::test]
    async fn connections_are_closed_and_lead_elsewhere() {
        let (address, _serving) = echo().await;
        let nobody = format!("127.0.0.1:{}", ports::free().unwrap());
        let proxy = Proxy::start(&address).await.unwrap();
        let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut socket).await, Some(b'x'));
        proxy.lead_to(&nobody);
        assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0, "the connection is closed");
        let mut elsewhere = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut elsewhere).await, None);
        proxy.lead_to(&address);
        let mut back = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut back).await, Some(b'x'));
    }

    #[tokio::test]
    async fn answers_stall_alone() {
        let (address, _serving) = echo().await;
        let proxy = Proxy::start(&address).await.unwrap();
        proxy.set(Fault::StallAnswers);
        let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(round_trip(&mut socket).await, None);
        proxy.set(Fault::None);
        socket.read_exact(&mut [0; 1]).await.unwrap();
    }
}
