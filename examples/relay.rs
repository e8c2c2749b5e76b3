//! A bare TCP relay on the seam, to measure what a runtime costs: `relay LISTEN_PORT ORIGIN_PORT [recv|relay]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ringway::runtime::ring::{Ring, RingStream};
use ringway::runtime::{Batch, DrainSignal, Listener, Options, Peers, Runtime, Started, Stream, join};
use socket2::{Domain, Socket, Type};

const IDLE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, origin, ..] = arguments.as_slice() else {
        return Err("relay LISTEN_PORT ORIGIN_PORT".into());
    };
    let origin = SocketAddr::from((Ipv4Addr::LOCALHOST, origin.parse()?));
    let is_by_relay = arguments.get(2).is_some_and(|mode| mode == "relay");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, listen.parse()?)).into())?;
    socket.listen(4096)?;
    let options = Options {
        worker: 0,
        connections: 10_000,
        drain: DrainSignal::new()?,
        started: Started::default(),
        peers: Peers::default(),
    };
    Ring::run(&options, vec![socket], |ring, mut listeners| async move {
        let listener = listeners.remove(0);
        while let Ok(Some((client, _))) = listener.accept().await {
            ring.spawn(serve(ring.clone(), client, origin, is_by_relay));
        }
    })?;
    Ok(())
}

async fn serve(ring: Ring, client: RingStream, origin: SocketAddr, is_by_relay: bool) {
    let Ok(backend) = ring.connect(origin, ring.now() + IDLE).await else { return };
    let one_way = async |from: &RingStream, to: &RingStream| {
        if is_by_relay {
            from.relay_to(to, u64::MAX, IDLE).await;
        } else {
            copy(&ring, from, to).await;
        }
        let _ = to.shutdown_send().await;
    };
    join(one_way(&client, &backend), one_way(&backend, &client)).await;
}

async fn copy(ring: &Ring, from: &RingStream, to: &RingStream) {
    while let Ok(Some(buf)) = from.recv(ring.now() + IDLE).await {
        if to.send(Batch::from(buf), ring.now() + IDLE).await.is_err() {
            return;
        }
    }
}
