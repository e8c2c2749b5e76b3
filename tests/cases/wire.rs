//! One end of a connection in the hands of a transcript: what was received, what is still to be sent.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use ringway::runtime::sim::{Ending, Socket, State};

/// A connection that never waits.
pub(crate) trait Transport {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize>;
    fn read_some(&self, into: &mut Vec<u8>) -> io::Result<State>;
    fn finish(&self);
    fn reset(&self);
}

/// One end of a connection; it is read all the time, so that nothing waits for the transcript.
pub(crate) struct Wire<T> {
    transport: Option<T>,
    outbox: Vec<u8>,
    /// What was received and not expected yet.
    pub(crate) inbox: Vec<u8>,
    /// How the other side ended.
    pub(crate) ended: Option<Ending>,
    then: Then,
}

/// What follows when everything is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Finish,
    Close,
}

impl<T: Transport> Wire<T> {
    pub(crate) fn new(transport: T) -> Self {
        Self {
            transport: Some(transport),
            outbox: Vec::new(),
            inbox: Vec::new(),
            ended: None,
            then: Then::Nothing,
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
        self.pump();
    }

    /// Sends FIN behind what is still to be sent.
    pub(crate) fn half_close(&mut self) {
        self.then = Then::Finish;
        self.pump();
    }

    /// Closes behind what is still to be sent.
    pub(crate) fn close(&mut self) {
        self.then = Then::Close;
        self.pump();
    }

    pub(crate) fn reset(&mut self) {
        if let Some(transport) = self.transport.take() {
            transport.reset();
        }
    }

    /// Sends and receives what can be.
    pub(crate) fn pump(&mut self) {
        let Some(transport) = &self.transport else { return };
        while !self.outbox.is_empty() {
            match transport.write_some(&self.outbox) {
                Ok(0) => break,
                Ok(count) => drop(self.outbox.drain(..count)),
                // Who has closed does not want it; a transcript that minds expects something else instead.
                Err(_) => self.outbox.clear(),
            }
        }
        if self.ended.is_none() {
            self.ended = match transport.read_some(&mut self.inbox) {
                Ok(State::Open) => None,
                Ok(State::Ended(ending)) => Some(ending),
                Err(_) => Some(Ending::Rst),
            };
        }
        if self.outbox.is_empty() {
            match std::mem::replace(&mut self.then, Then::Nothing) {
                Then::Nothing => {}
                Then::Finish => transport.finish(),
                Then::Close => self.transport = None,
            }
        }
    }
}

impl Transport for Socket {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn read_some(&self, into: &mut Vec<u8>) -> io::Result<State> {
        self.read_all(into)
    }

    fn finish(&self) {
        Socket::finish(self);
    }

    fn reset(&self) {
        Socket::reset(self);
    }
}

/// A kernel's socket, set to never block.
impl Transport for TcpStream {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut stream = self;
        would_block_is(0, stream.write(bytes))
    }

    fn read_some(&self, into: &mut Vec<u8>) -> io::Result<State> {
        let mut stream = self;
        let mut piece = [0; 16 * 1024];
        loop {
            let count = match stream.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(State::Open),
                other => other?,
            };
            if count == 0 {
                return Ok(State::Ended(Ending::Fin));
            }
            into.extend_from_slice(&piece[..count]);
        }
    }

    fn finish(&self) {
        // It may be gone already.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn reset(&self) {
        // Closing it is then a reset.
        let _ = socket2::SockRef::from(self).set_linger(Some(std::time::Duration::ZERO));
    }
}

fn would_block_is<T>(value: T, result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(value),
        other => other,
    }
}
