//! Sample backends for trying and testing Ringway: three file servers and a cluster of five small servers.
//!
//! [`start`] runs them all on one thread of their own; dropping what it returns ends them. The files are part of
//! the program, so it works from any directory. Nothing here knows anything of the proxy.

#![forbid(unsafe_code)]

mod cluster;
mod embedded;
mod lean;
mod listing;
mod pattern;
mod sites;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::sync::oneshot;

pub use embedded::{DEFAULT_FILES, IMAGES, PDF, Sample};
pub use lean::{ANSWERED, serve_lean};
pub use pattern::pattern_byte;

/// Where the backends listen. [`Addresses::default`] is the demo's; port 0 lets the system choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The server for all that no other one takes.
    pub default: SocketAddr,
    /// The pictures.
    pub images: SocketAddr,
    /// The documents.
    pub pdf: SocketAddr,
    /// The cluster: any number of servers that differ in nothing but their name.
    pub cluster: Vec<SocketAddr>,
}

impl Default for Addresses {
    fn default() -> Self {
        Self::on(Ipv4Addr::LOCALHOST.into())
    }
}

impl Addresses {
    /// The demo's ports on another address: 0.0.0.0 in a container, whose loopback nobody else reaches.
    #[must_use]
    pub fn on(address: IpAddr) -> Self {
        let on = |port| SocketAddr::from((address, port));
        Self { default: on(8888), images: on(8889), pdf: on(8890), cluster: (9000..=9004).map(on).collect() }
    }

    /// Ports that the system chooses, on loopback, and a cluster of `cluster` servers: for tests.
    #[must_use]
    pub fn ephemeral(cluster: usize) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { default: any, images: any, pdf: any, cluster: vec![any; cluster] }
    }
}

/// Backends that run until this is dropped.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    answered: Vec<Arc<AtomicU64>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    /// Where they listen, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// How many requests each server of the cluster has answered so far, in the order of [`Addresses::cluster`].
    #[must_use]
    pub fn answered(&self) -> Vec<u64> {
        self.answered.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its only errors happen before it serves; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// Starts all backends on one new thread and returns when they accept connections.
///
/// # Errors
///
/// An address that cannot be bound: the message names it and says what to do.
pub fn start(addresses: &Addresses) -> io::Result<Running> {
    let mut bound = addresses.clone();
    let mut servers = vec![
        (bind(&mut bound.default, "the default server")?, sites::default_site()),
        (bind(&mut bound.images, "the pictures")?, sites::images()),
        (bind(&mut bound.pdf, "the documents")?, sites::pdf()),
    ];
    let mut answered = Vec::new();
    for address in &mut bound.cluster {
        let listener = bind(address, "the cluster")?;
        let count = Arc::new(AtomicU64::new(0));
        servers.push((listener, cluster::server(address.port(), Arc::clone(&count))));
        answered.push(count);
    }
    let (stop, stopped) = oneshot::channel();
    let thread =
        thread::Builder::new().name("sample-backends".to_owned()).spawn(move || serve(servers, stopped))?;
    Ok(Running { addresses: bound, answered, stop: Some(stop), thread: Some(thread) })
}

/// Binds and replaces port 0 by the port that the system chose.
fn bind(address: &mut SocketAddr, purpose: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(*address).map_err(|error| explained(&error, *address, purpose))?;
    listener.set_nonblocking(true)?;
    *address = listener.local_addr()?;
    Ok(listener)
}

fn explained(error: &io::Error, address: SocketAddr, purpose: &str) -> io::Error {
    let port = address.port();
    let what = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} is in use: {purpose} of the sample backends cannot listen on {address}; stop the program \
             that does (`ss -ltnp 'sport = :{port}'` shows which) and try again"
        ),
        _ => format!("{purpose} of the sample backends cannot listen on {address}: {error}"),
    };
    io::Error::new(error.kind(), what)
}

/// Serves until `stopped` ends; connections that are open then are closed.
fn serve(servers: Vec<(TcpListener, Router)>, stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for (listener, router) in servers {
            let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|stream| {
                // Without it small answers may wait for the client's acknowledgement.
                let _ = stream.set_nodelay(true);
            });
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        // Both a message and the sender's end mean stop.
        let _ = stopped.await;
        Ok(())
    })
}
