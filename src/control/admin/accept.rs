//! The connections of the admin API: how many there may be, and which of them go when one too many comes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::patience::{Patient, Seat};
use crate::telemetry::notice;

/// How many connections there may be at a time. The proxy's clients need the descriptors of the process.
const CONNECTIONS: usize = 64;
/// How long an idle connection may take to make room for another one: it has nothing to do but to end.
const PARTING: Duration = Duration::from_secs(1);
/// How often it is said at the most that a connection was refused.
const NOTICE_INTERVAL: Duration = Duration::from_secs(60);

/// The places of all connections.
pub(super) struct Places {
    free: Arc<Semaphore>,
    seats: Mutex<Vec<Weak<Seat>>>,
    refused: AtomicU64,
    said: Mutex<Option<Instant>>,
}

/// A connection's place; dropping it gives it back.
struct Place {
    seat: Arc<Seat>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new() -> Arc<Self> {
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        Arc::new(Self { free, seats: Mutex::default(), refused: AtomicU64::new(0), said: Mutex::default() })
    }

    /// Connections that were closed at once, since there was no place for them.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A place; when all are taken, that of the connection which was idle for longest. `None` when none is idle.
    async fn take(&self) -> Option<Place> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.longest_idle()?.give_way();
                timeout(PARTING, Arc::clone(&self.free).acquire_owned()).await.ok()?.ok()?
            }
        };
        let seat = Seat::new();
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|seat| seat.strong_count() > 0);
        seats.push(Arc::downgrade(&seat));
        Some(Place { seat, _permit: permit })
    }

    fn longest_idle(&self) -> Option<Arc<Seat>> {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = seats.iter().filter_map(Weak::upgrade).filter_map(|seat| Some((seat.idle_since()?, seat)));
        idle.min_by_key(|(since, _)| *since).map(|(_, seat)| seat)
    }

    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| at.elapsed() >= NOTICE_INTERVAL) {
            *said = Some(Instant::now());
            notice(format_args!(
                "the admin API has closed a connection at once: all {CONNECTIONS} are busy \
                 (ringway_admin_connections_refused_total counts such)"
            ));
        }
    }
}

/// Serves the pages to whoever connects, for ever. The listener waits out errors of `accept` itself: for a second where the
/// process has no descriptor left.
pub(super) async fn serve<L: Listener>(mut listener: L, pages: Router, places: Arc<Places>) {
    loop {
        let (stream, _) = listener.accept().await;
        match places.take().await {
            Some(place) => drop(tokio::spawn(serve_one(stream, pages.clone(), place))),
            // Closed at once: whoever waits in the queue would not learn why.
            None => places.refuse(),
        }
    }
}

async fn serve_one<S>(stream: S, pages: Router, place: Place)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let seat = &place.seat;
    let service = TowerToHyperService::new(pages);
    let service = service_fn(|request| {
        seat.asked();
        service.call(request)
    });
    let stream = TokioIo::new(Patient::new(stream, Arc::clone(seat)));
    let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(stream, service));
    // A client that leaves, is late or speaks no HTTP is nobody's concern but its own.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = seat.is_to_leave() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::patience::{BRIEF, IDLE};
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tokio::time::sleep;

    const ASKED: &str = "GET / HTTP/1.1\r\nHost: admin\r\n\r\n";
    const LONG: usize = 1 << 20;

    struct Knocking(UnboundedReceiver<DuplexStream>);

    impl Listener for Knocking {
        type Io = DuplexStream;
        type Addr = ();

        async fn accept(&mut self) -> (DuplexStream, ()) {
            (self.0.recv().await.unwrap(), ())
        }

        fn local_addr(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Scene {
        door: UnboundedSender<DuplexStream>,
        places: Arc<Places>,
    }

    impl Scene {
        fn new() -> Self {
            let (door, knocking) = unbounded_channel();
            let places = Places::new();
            let slow = || async {
                sleep(10 * IDLE).await;
                "slow"
            };
            let pages = Router::new()
                .route("/", get(async || "short"))
                .route("/long", get(async || "x".repeat(LONG)))
                .route("/slow", get(slow));
            tokio::spawn(serve(Knocking(knocking), pages, Arc::clone(&places)));
            Self { door, places }
        }

        /// A client whose kernel takes 4 KiB before it reads.
        fn client(&self) -> DuplexStream {
            let (client, server) = duplex(4096);
            self.door.send(server).unwrap();
            client
        }

        async fn idle_client(&self) -> DuplexStream {
            let mut client = self.client();
            ask(&mut client).await;
            client
        }
    }

    /// One short exchange.
    async fn ask(client: &mut DuplexStream) {
        client.write_all(ASKED.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"short") {
            assert!(client.read_buf(&mut answer).await.unwrap() > 0, "{}", answer.escape_ascii());
        }
    }

    /// What comes until the end, and how long it takes.
    async fn until_closed(client: &mut DuplexStream) -> (usize, Duration) {
        let (begun, mut came) = (Instant::now(), Vec::new());
        client.read_to_end(&mut came).await.unwrap();
        (came.len(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_must_come_soon_and_a_kept_connection_may_be_idle_for_longer() {
        let scene = Scene::new();
        assert_eq!(until_closed(&mut scene.client()).await, (0, BRIEF), "nothing at all");
        let mut kept = scene.idle_client().await;
        for _ in 0..3 {
            sleep(Duration::from_secs(60)).await;
            ask(&mut kept).await;
        }
        let mut late = scene.idle_client().await;
        assert_eq!(until_closed(&mut kept).await, (0, IDLE));
        assert_eq!(until_closed(&mut late).await, (0, Duration::ZERO), "as long as the other one");
        let mut slow = scene.idle_client().await;
        sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        // A byte now and then does not help.
        for byte in ASKED.bytes() {
            if slow.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(750)).await;
        }
        assert_eq!(begun.elapsed().as_secs(), BRIEF.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_read_its_answer_is_closed_and_a_slow_reader_is_not() {
        let scene = Scene::new();
        let long = ASKED.replace("/ ", "/long ");
        let (mut stuck, mut slow) = (scene.client(), scene.client());
        for client in [&mut stuck, &mut slow] {
            client.write_all(long.as_bytes()).await.unwrap();
        }
        let mut came = Vec::new();
        while came.len() < LONG {
            sleep(BRIEF - Duration::from_secs(1)).await;
            slow.read_buf(&mut came).await.unwrap();
        }
        let (came, took) = until_closed(&mut stuck).await;
        assert!((1..=4096).contains(&came) && took.is_zero(), "{came} bytes, closed after {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_ours_may_take_its_time() {
        let scene = Scene::new();
        let mut client = scene.client();
        client.write_all(ASKED.replace("/ ", "/slow ").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"slow") {
            assert!(client.read_buf(&mut answer).await.unwrap() > 0, "{}", answer.escape_ascii());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_gives_way_and_nobody_who_is_busy() {
        let scene = Scene::new();
        let mut idle = Vec::new();
        for _ in 0..2 {
            idle.push(scene.idle_client().await);
            sleep(Duration::from_secs(1)).await;
        }
        let mut busy: Vec<_> = (idle.len()..CONNECTIONS).map(|_| scene.client()).collect();
        for client in &mut busy {
            client.write_all(ASKED.replace("/ ", "/slow ").as_bytes()).await.unwrap();
        }
        ask(&mut idle[0]).await;
        let mut newcomer = scene.idle_client().await;
        assert_eq!(until_closed(&mut idle[1]).await, (0, Duration::ZERO), "it was idle for longest");
        ask(&mut idle[0]).await;
        assert_eq!(scene.places.refused(), 0);
        // Now all are busy.
        for client in [&mut idle[0], &mut newcomer] {
            client.write_all(ASKED.replace("/ ", "/slow ").as_bytes()).await.unwrap();
        }
        sleep(Duration::from_millis(1)).await;
        assert_eq!(until_closed(&mut scene.client()).await, (0, Duration::ZERO));
        assert_eq!(scene.places.refused(), 1);
        drop(busy.pop());
        sleep(Duration::from_millis(1)).await;
        scene.idle_client().await;
    }
}
