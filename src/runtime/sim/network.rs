//! The simulated network: who listens where, and every connection there was.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use super::faults::{Place, Way};
use super::pipe::Pipe;
use super::socket::Socket;
use super::world::Core;
use crate::runtime::executor::TaskId;

/// Connections that a listener holds until they are accepted; more are refused.
const BACKLOG: usize = 4096;
/// The first port of those who connect.
const FIRST_PORT: usize = 40_000;

/// Who listens where, and every connection there was.
#[derive(Default)]
pub(super) struct Network {
    ports: BTreeMap<SocketAddr, Rc<Port>>,
    links: Vec<Rc<Link>>,
    /// Addresses that do not answer.
    pub(super) silent: BTreeSet<SocketAddr>,
}

/// An address that is listened on.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    /// Connections that wait to be accepted, and who made them.
    pub(super) backlog: RefCell<VecDeque<(Socket, SocketAddr)>>,
    /// Who waits for one.
    pub(super) task: Cell<Option<TaskId>>,
    pub(super) is_open: Cell<bool>,
}

/// A connection: one direction each way.
pub(super) struct Link {
    to: SocketAddr,
    nth: usize,
    forth: RefCell<Pipe>,
    back: RefCell<Pipe>,
    pub(super) open_ends: Cell<usize>,
}

impl Network {
    /// Starts to listen.
    ///
    /// # Errors
    /// `AddrInUse`.
    pub(super) fn listen(&mut self, address: SocketAddr) -> io::Result<Rc<Port>> {
        if self.ports.get(&address).is_some_and(|port| port.is_open.get()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let port =
            Port { address, backlog: RefCell::default(), task: Cell::default(), is_open: Cell::new(true) };
        let port = Rc::new(port);
        self.ports.insert(address, Rc::clone(&port));
        Ok(port)
    }

    pub(super) fn port(&self, address: SocketAddr) -> Option<&Rc<Port>> {
        self.ports.get(&address)
    }

    pub(super) fn open_ends(&self) -> usize {
        self.links.iter().map(|link| link.open_ends.get()).sum()
    }

    pub(super) fn traffic(&self) -> Vec<Place> {
        let places = |link: &Rc<Link>| {
            [Way::Forth, Way::Back].map(|way| Place {
                way,
                at: link.pipe(way).sent(),
                to: link.to,
                nth: link.nth,
            })
        };
        self.links.iter().flat_map(places).collect()
    }

    /// Whoever waits for anything of the network looks again.
    pub(super) fn waiting_tasks(&self) -> Vec<TaskId> {
        let of_link = |link: &Rc<Link>| [link.pipe(Way::Forth).recv_task, link.pipe(Way::Back).recv_task];
        let accepting = self.ports.values().map(|port| port.task.get());
        self.links.iter().flat_map(of_link).chain(accepting).flatten().collect()
    }

    pub(super) fn describe(&self, f: &mut fmt::Formatter<'_>, now: Instant) -> fmt::Result {
        for link in self.links.iter().filter(|link| link.open_ends.get() > 0) {
            writeln!(f, "connection {} to {}, {} ends open:", link.nth, link.to, link.open_ends.get())?;
            for way in [Way::Forth, Way::Back] {
                let pipe = link.pipe(way);
                let (sent, queued, look) = (pipe.sent(), pipe.queued(), pipe.look(now));
                let waits = [pipe.recv_task, pipe.send_task].map(|task| task.is_some());
                writeln!(
                    f,
                    "  {way:?}: {sent} bytes sent, {queued} unread, {look:?}, receiver {:?}, waits {waits:?}",
                    pipe.receiver
                )?;
            }
        }
        Ok(())
    }
}

impl Link {
    fn new(to: SocketAddr, nth: usize, core: &Core) -> Self {
        let pipe = |way| {
            let mut pipe = Pipe::new(core.now());
            let here = |place: Place| place.to == to && place.nth == nth && place.way == way;
            pipe.cut = core.faults.cut.filter(|cut| here(cut.place)).map(|cut| (cut.place.at, cut.pause));
            pipe.end_at = core.faults.end.filter(|end| here(end.place)).map(|end| (end.place.at, end.ending));
            RefCell::new(pipe)
        };
        Self { to, nth, forth: pipe(Way::Forth), back: pipe(Way::Back), open_ends: Cell::new(2) }
    }

    /// The direction.
    pub(super) fn pipe(&self, way: Way) -> RefMut<'_, Pipe> {
        match way {
            Way::Forth => self.forth.borrow_mut(),
            Way::Back => self.back.borrow_mut(),
        }
    }
}

/// Opens a connection and puts its other end into the backlog of who listens.
///
/// # Errors
/// `ConnectionRefused` where nobody listens.
pub(super) fn open(core: &Rc<Core>, from: IpAddr, to: SocketAddr) -> io::Result<Socket> {
    let mut network = core.network.borrow_mut();
    let port = network.ports.get(&to).filter(|port| port.is_open.get()).cloned();
    let port = port.filter(|port| port.backlog.borrow().len() < BACKLOG);
    let port = port.ok_or(io::ErrorKind::ConnectionRefused)?;
    let nth = network.links.iter().filter(|link| link.to == to).count();
    let source = u16::try_from(FIRST_PORT + network.links.len() % 20_000).unwrap_or(u16::MAX);
    let link = Rc::new(Link::new(to, nth, core));
    network.links.push(Rc::clone(&link));
    let accepted = Socket::new(Rc::clone(core), Rc::clone(&link), Way::Back);
    port.backlog.borrow_mut().push_back((accepted, SocketAddr::new(from, source)));
    core.wake(port.task.take());
    Ok(Socket::new(Rc::clone(core), link, Way::Forth))
}
