//! A walk along a chunked body (RFC 9112 section 7.1): it says what each byte is, and does not decode.

use super::ascii::{is_token_byte, is_value_byte};
use super::head::LineScanner;
use super::{Nominated, Violation, trailers};

/// Bytes of a chunk's line, its CRLF included.
const MAX_LINE: u16 = 256;
/// Hexadecimal digits of a size.
const MAX_DIGITS: u8 = 16;

/// Knows what the next byte of a chunked body is. Every byte is seen once, and any cut of them leads to the same.
///
/// The trailer section is judged whole: until its empty line is there, [`Step::More`] asks for its bytes again with
/// more behind them, so that no end of a message goes on before all that stands in front of it is found good.
#[derive(Debug, Clone, Copy)]
pub struct ChunkedWalker {
    /// Bytes of data to come; while the size is read, what it says so far.
    left: u64,
    announced: u64,
    nominated: Nominated,
    /// Within the trailer section.
    lines: LineScanner,
    line_len: u16,
    digits: u8,
    state: State,
}

const _: () = assert!(size_of::<ChunkedWalker>() <= 48);

/// What stands at the front of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes of the coding: sizes, extensions, ends of lines. A decoder drops them.
    Meta(usize),
    /// So many bytes of data.
    Data(usize),
    /// So many bytes up to the end of the message: the trailer section, all of it, found good. Nothing behind them is
    /// part of it.
    End(usize),
    /// No more can be said: keep these bytes, and come again with others behind them.
    More,
}

/// What [`ChunkedWalker::pass`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Bytes that may go on. If the message is not over, what is behind them is the beginning of a trailer section:
    /// keep it, and come again with more behind it.
    pub bytes: usize,
    /// Bytes of data among them.
    pub data: usize,
    /// Whether the message ends with them.
    pub is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a size.
    Size,
    /// Behind `;`.
    NameStart,
    Name,
    /// Behind `=`.
    ValueStart,
    Value,
    /// Between quotes.
    Quoted,
    /// Behind a backslash between quotes.
    Escaped,
    /// Behind the closing quote.
    QuotedEnd,
    /// Behind the CR of a chunk's line.
    LineLf,
    Data,
    /// Behind the data.
    DataCr,
    DataLf,
    Trailers,
    Over,
}

impl ChunkedWalker {
    /// At the first byte of a body; `nominated` are the fields that `Connection` names in its head.
    pub fn new(nominated: Nominated) -> Self {
        Self {
            left: 0,
            announced: 0,
            nominated,
            lines: LineScanner::default(),
            line_len: 0,
            digits: 0,
            state: State::Size,
        }
    }

    /// What stands at the front of `input`; the bytes of the step are taken for seen.
    ///
    /// # Errors
    /// What is no chunked body. Nothing more may go on then, and nothing that goes on looks like a whole message.
    pub fn next(&mut self, input: &[u8]) -> Result<Step, Violation> {
        match self.state {
            State::Data => Ok(self.next_data(input)),
            State::Trailers => self.next_trailers(input),
            State::Over => Ok(Step::End(0)),
            _ => self.next_meta(input),
        }
    }

    /// How much of `input` may go on as it is: all steps in a row.
    ///
    /// # Errors
    /// As [`ChunkedWalker::next`].
    pub fn pass(&mut self, input: &[u8]) -> Result<Passed, Violation> {
        let mut passed = Passed { bytes: 0, data: 0, is_over: false };
        loop {
            match self.next(&input[passed.bytes..])? {
                Step::Meta(len) => passed.bytes += len,
                Step::Data(len) => {
                    passed.bytes += len;
                    passed.data += len;
                }
                Step::End(len) => {
                    passed.bytes += len;
                    passed.is_over = true;
                    return Ok(passed);
                }
                Step::More => return Ok(passed),
            }
        }
    }

    /// Bytes of data in all chunks whose lines were seen: for limits, which hold before the data itself has come.
    pub fn announced(&self) -> u64 {
        self.announced
    }

    /// Whether the end of the message was seen.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn next_data(&mut self, input: &[u8]) -> Step {
        let len = self.left.min(input.len() as u64);
        if len == 0 {
            return Step::More;
        }
        self.left -= len;
        if self.left == 0 {
            self.state = State::DataCr;
        }
        Step::Data(len as usize)
    }

    fn next_trailers(&mut self, input: &[u8]) -> Result<Step, Violation> {
        match trailers::scan(&mut self.lines, input, self.nominated)? {
            Some(len) => {
                self.state = State::Over;
                Ok(Step::End(len))
            }
            None => Ok(Step::More),
        }
    }

    fn next_meta(&mut self, input: &[u8]) -> Result<Step, Violation> {
        for (at, &byte) in input.iter().enumerate() {
            self.state = self.after(byte)?;
            if matches!(self.state, State::Data | State::Trailers) {
                return Ok(Step::Meta(at + 1));
            }
        }
        if input.is_empty() { Ok(Step::More) } else { Ok(Step::Meta(input.len())) }
    }

    /// The state after one byte of the coding.
    fn after(&mut self, byte: u8) -> Result<State, Violation> {
        match self.state {
            State::DataCr | State::DataLf => self.after_data(byte),
            State::LineLf if byte == b'\n' => Ok(self.end_line()),
            State::LineLf => Err(Violation::BareCr),
            state => {
                self.line_len += 1;
                // One more for the LF.
                if self.line_len >= MAX_LINE {
                    return Err(Violation::ChunkLineTooLong);
                }
                match (state, byte) {
                    (State::Size, _) => self.after_size(byte),
                    _ => after_extension(state, byte),
                }
            }
        }
    }

    fn after_size(&mut self, byte: u8) -> Result<State, Violation> {
        match (byte, char::from(byte).to_digit(16)) {
            (_, Some(_)) if self.digits == MAX_DIGITS => Err(Violation::ChunkTooLarge),
            (_, Some(digit)) => {
                self.digits += 1;
                self.left = self.left << 4 | u64::from(digit);
                // Servers that count in signed integers stand behind us.
                if self.left > i64::MAX as u64 { Err(Violation::ChunkTooLarge) } else { Ok(State::Size) }
            }
            (b'\n', _) => Err(Violation::BareLf),
            _ if self.digits == 0 => Err(Violation::BadChunkSize),
            (b'\r', _) => Ok(State::LineLf),
            (b';', _) => Ok(State::NameStart),
            _ => Err(Violation::BadChunkSize),
        }
    }

    fn end_line(&mut self) -> State {
        self.announced = self.announced.saturating_add(self.left);
        self.digits = 0;
        self.line_len = 0;
        if self.left == 0 { State::Trailers } else { State::Data }
    }

    fn after_data(&mut self, byte: u8) -> Result<State, Violation> {
        match (self.state, byte) {
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataCr, b'\n') => Err(Violation::BareLf),
            (State::DataCr, _) => Err(Violation::BadChunkEnd),
            (_, b'\n') => Ok(State::Size),
            _ => Err(Violation::BareCr),
        }
    }
}

/// `;name`, `;name=token` or `;name="text"`, without the spaces that RFC 9112 section 7.1.1 calls bad.
fn after_extension(state: State, byte: u8) -> Result<State, Violation> {
    match (state, byte) {
        (_, b'\n') => Err(Violation::BareLf),
        (State::NameStart | State::Name, _) if is_token_byte(byte) => Ok(State::Name),
        (State::ValueStart | State::Value, _) if is_token_byte(byte) => Ok(State::Value),
        (State::Name, b'=') => Ok(State::ValueStart),
        (State::ValueStart, b'"') => Ok(State::Quoted),
        (State::Quoted, b'"') => Ok(State::QuotedEnd),
        (State::Quoted, b'\\') => Ok(State::Escaped),
        (State::Quoted | State::Escaped, _) if is_value_byte(byte) => Ok(State::Quoted),
        (State::Name | State::Value | State::QuotedEnd, b';') => Ok(State::NameStart),
        (State::Name | State::Value | State::QuotedEnd, b'\r') => Ok(State::LineLf),
        _ => Err(Violation::BadChunkExtension),
    }
}
