//! The language of the transcripts: text to a [`Case`]. `docs/testing.md` describes it.

use std::time::Duration;

/// One transcript.
#[derive(Debug)]
pub(crate) struct Case {
    /// The file's name.
    pub(crate) name: String,
    /// TOML that is added to the default configuration, with placeholders.
    pub(crate) config: String,
    /// What each backend server does with connections, the first one first.
    pub(crate) servers: Vec<Server>,
    /// Whether it is also run against the real runtimes.
    pub(crate) is_real: bool,
    /// A runtime that it does not hold for.
    pub(crate) not_on: Option<String>,
    /// Whether it is also run with every cut.
    pub(crate) is_cut: bool,
    pub(crate) steps: Vec<Step>,
}

/// What a backend server does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Listens,
    Refuses,
    /// Does not answer.
    IsSilent,
}

/// A step, and the line it begins on.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) action: Action,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Send(Who, Vec<Line>),
    Expect(Who, Vec<Part>),
    Closes(Who),
    HalfCloses(Who),
    Resets(Who),
    SeesEnd(Who),
    SeesReset(Who),
    /// Bytes that were not expected may have come before it.
    SeesResetAfterAnything(Who),
    SeesNothing(Who, Duration),
    Wait(Duration),
    /// Words of the next line of the access log.
    Log(Vec<String>),
}

/// One end of a connection: a client, or a connection that a backend server accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// `client` is `client1`.
    Client(usize),
    /// `backend` is `backend1a`: the first connection of the first server, both counted from 0 here.
    Backend { server: usize, connection: usize },
}

/// Text of a line, with escapes and placeholders, and whether CRLF ends it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) has_end: bool,
}

/// What is expected to be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Head(HeadPattern),
    /// These bytes.
    Bytes(Line),
    /// A body of as many bytes as the head before says, with these words somewhere in it.
    AnyBody(String),
}

/// A head: the start line, and fields in any order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HeadPattern {
    /// `*` stands for anything.
    pub(crate) start: String,
    /// Names and values; `*` stands for anything.
    pub(crate) fields: Vec<(String, String)>,
    /// Names of fields that must not be there.
    pub(crate) absent: Vec<String>,
    /// Whether there may be fields that are not listed.
    pub(crate) has_more: bool,
}

impl Case {
    /// Reads a transcript.
    ///
    /// # Errors
    /// The first line that means nothing.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut case = Self {
            name: name.to_owned(),
            config: String::new(),
            servers: vec![Server::Listens],
            is_real: true,
            not_on: None,
            is_cut: true,
            steps: Vec::new(),
        };
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line)).peekable();
        while let Some((number, line)) = lines.next() {
            let found = match split_arrow(line) {
                Some((who, arrow, first)) => {
                    let mut block = vec![first];
                    while let Some((_, next)) = lines.peek()
                        && let Some((next_who, next_arrow, text)) = split_arrow(next)
                        && (next_who, next_arrow) == (who, arrow)
                    {
                        block.push(text);
                        lines.next();
                    }
                    transfer(who, arrow, &block).map(Some)
                }
                None if line.trim() == "config:" => {
                    while let Some((_, text)) = lines.next_if(|(_, text)| text.starts_with("  ")) {
                        case.config.extend([text.trim(), "\n"]);
                    }
                    Ok(None)
                }
                None => case.sentence(line.trim()),
            };
            match found {
                Ok(Some(action)) => case.steps.push(Step { line: number, action }),
                Ok(None) => {}
                Err(problem) => return Err(format!("{name}:{number}: {problem}: {line}")),
            }
        }
        Ok(case)
    }

    /// A line without an arrow.
    fn sentence(&mut self, line: &str) -> Result<Option<Action>, String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        if let Some(words) = line.strip_prefix("log:") {
            return Ok(Some(Action::Log(words.split_whitespace().map(str::to_owned).collect())));
        }
        let (first, rest) = line.split_once(' ').ok_or("what is that?")?;
        match (first, rest) {
            ("only", "sim") => self.is_real = false,
            ("not", runtime) => self.not_on = runtime.strip_prefix("on ").map(str::to_owned),
            ("no", "cuts") => self.is_cut = false,
            ("backends:", count) => {
                let count = count.parse().map_err(|_| "not a number of backends")?;
                self.servers = vec![Server::Listens; count];
            }
            ("wait", time) => return Ok(Some(Action::Wait(duration(time)?))),
            (server, "refuses" | "is silent") => {
                let Who::Backend { server, .. } = who(server).ok_or("who?")? else {
                    return Err("only a backend does".to_owned());
                };
                *self.servers.get_mut(server).ok_or("there are fewer backends")? =
                    if rest == "refuses" { Server::Refuses } else { Server::IsSilent };
            }
            (name, _) => return deed(who(name).ok_or("who?")?, rest).map(Some),
        }
        Ok(None)
    }
}

/// What somebody does, or sees, other than bytes.
fn deed(who: Who, what: &str) -> Result<Action, String> {
    Ok(match what {
        "closes" => Action::Closes(who),
        "half-closes" => Action::HalfCloses(who),
        "resets" => Action::Resets(who),
        "sees end" => Action::SeesEnd(who),
        "sees reset" => Action::SeesReset(who),
        "sees reset after anything" => Action::SeesResetAfterAnything(who),
        _ => match what.strip_prefix("sees nothing for ") {
            Some(time) => Action::SeesNothing(who, duration(time)?),
            None => return Err("what does it do?".to_owned()),
        },
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let parse = |digits: &str| digits.parse::<u64>().map_err(|_| format!("not a time: {text}"));
    match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => parse(digits).map(Duration::from_millis),
        (None, Some(digits)) => parse(digits).map(Duration::from_secs),
        (None, None) => Err(format!("not a time: {text}")),
    }
}

/// `client`, `client2`, `backend`, `backend2`, `backend2b`.
fn who(name: &str) -> Option<Who> {
    let index =
        |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<usize>().ok()?.checked_sub(1) };
    if let Some(digits) = name.strip_prefix("client") {
        return index(digits).map(Who::Client);
    }
    let rest = name.strip_prefix("backend")?;
    let digits = rest.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let connection = match &rest.as_bytes()[digits.len()..] {
        [] => 0,
        [letter] => usize::from(letter - b'a'),
        _ => return None,
    };
    Some(Who::Backend { server: index(digits)?, connection })
}

/// `client> text` or `client< text`.
fn split_arrow(line: &str) -> Option<(Who, char, &str)> {
    let at = line.find(['<', '>'])?;
    let text = &line[at + 1..];
    Some((who(line[..at].trim())?, line[at..].chars().next()?, text.strip_prefix(' ').unwrap_or(text)))
}

fn transfer(who: Who, arrow: char, block: &[&str]) -> Result<Action, String> {
    if arrow == '>' {
        return Ok(Action::Send(who, block.iter().map(|text| line(text)).collect()));
    }
    let mut parts = Vec::new();
    let mut rest = block.iter();
    while let Some(text) = rest.next() {
        if is_start_line(text) {
            parts.push(Part::Head(head(text, rest.by_ref())?));
        } else if let Some(words) = text.strip_prefix("...") {
            parts.push(Part::AnyBody(words.trim_end_matches("...").trim().to_owned()));
        } else {
            parts.push(Part::Bytes(line(text)));
        }
    }
    Ok(Action::Expect(who, parts))
}

fn is_start_line(text: &str) -> bool {
    text.starts_with("HTTP/1.") || text.ends_with(" HTTP/1.1") || text.ends_with(" HTTP/1.0")
}

fn head<'a>(start: &str, lines: &mut impl Iterator<Item = &'a &'a str>) -> Result<HeadPattern, String> {
    let mut head = HeadPattern { start: start.to_owned(), ..HeadPattern::default() };
    for text in lines {
        if text.is_empty() {
            return Ok(head);
        } else if *text == "*" {
            head.has_more = true;
        } else if let Some(name) = text.strip_prefix('!') {
            head.absent.push(name.to_owned());
        } else {
            let (name, value) = text.split_once(": ").ok_or_else(|| format!("not a field: {text}"))?;
            head.fields.push((name.to_owned(), value.to_owned()));
        }
    }
    Err("the head does not end in an empty line".to_owned())
}

fn line(text: &str) -> Line {
    let ends_in_backslash = text.len() - text.trim_end_matches('\\').len();
    match text.strip_suffix('\\') {
        Some(text) if ends_in_backslash % 2 == 1 => Line { text: text.to_owned(), has_end: false },
        _ => Line { text: text.to_owned(), has_end: true },
    }
}

impl Line {
    /// Its bytes. `name` gives the values of placeholders such as `{backend1}`.
    ///
    /// # Errors
    /// An escape or a placeholder that there is not.
    pub(crate) fn bytes(&self, name: impl Fn(&str) -> Option<String>) -> Result<Vec<u8>, String> {
        let mut bytes = unescape(&expand(&self.text, name)?)?;
        if self.has_end {
            bytes.extend_from_slice(b"\r\n");
        }
        Ok(bytes)
    }
}

/// Puts in the values of placeholders: `{bytes 3 x}` is `xxx`; all others are asked of `name`.
///
/// # Errors
/// A placeholder that there is not. Braces that hold no lower-case word stand for themselves.
pub(crate) fn expand(text: &str, name: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        let Some((inside, after)) =
            behind.split_once('}').filter(|_| behind.starts_with(|c: char| c.is_ascii_lowercase()))
        else {
            out.push('{');
            rest = behind;
            continue;
        };
        let words: Vec<&str> = inside.split(' ').collect();
        match (words[..].first(), &words[1..]) {
            (Some(&"bytes"), [count, fill]) => {
                let count = count.parse().map_err(|_| format!("not a number: {count}"))?;
                out.push_str(&fill.repeat(count));
            }
            _ => out.push_str(&name(inside).ok_or_else(|| format!("what is {{{inside}}}?"))?),
        }
        rest = after;
    }
    Ok(out + rest)
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(b'\\') => b'\\',
                Some(b'x') => {
                    let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).map_err(|_| format!("not two digits: \\x{digits}"))?
                }
                other => return Err(format!("not an escape: \\{:?}", other.map(char::from))),
            },
            byte => byte,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_reads_as_its_steps() {
        let text = "# About\nbackends: 2\nbackend2 refuses\nconfig:\n    [timeouts]\nclient> GET / HTTP/1.1\nclient>\n\
                    backend1b< GET / HTTP/1.1\nbackend1b< Host: *\nbackend1b< !X\nbackend1b<\nbackend1b< ab\\\n\
                    wait 20ms\nclient sees end\nlog: status=200";
        let case = Case::parse("x", text).unwrap();
        assert_eq!(
            (case.servers, case.config.as_str()),
            (vec![Server::Listens, Server::Refuses], "[timeouts]\n")
        );
        let steps: Vec<Action> = case.steps.into_iter().map(|step| step.action).collect();
        let plain = |text: &str, has_end| Line { text: text.to_owned(), has_end };
        let head = HeadPattern {
            start: "GET / HTTP/1.1".to_owned(),
            fields: vec![("Host".to_owned(), "*".to_owned())],
            absent: vec!["X".to_owned()],
            has_more: false,
        };
        let backend = Who::Backend { server: 0, connection: 1 };
        assert_eq!(
            steps,
            [
                Action::Send(Who::Client(0), vec![plain("GET / HTTP/1.1", true), plain("", true)]),
                Action::Expect(backend, vec![Part::Head(head), Part::Bytes(plain("ab", false))]),
                Action::Wait(Duration::from_millis(20)),
                Action::SeesEnd(Who::Client(0)),
                Action::Log(vec!["status=200".to_owned()]),
            ]
        );
    }

    #[test]
    fn escapes_and_placeholders_become_bytes() {
        let bytes = |text| line(text).bytes(|name| (name == "backend1").then(|| "addr".to_owned()));
        assert_eq!(bytes("a{backend1}\\x41\\0\\n\\").unwrap(), b"aaddrA\0\n");
        assert_eq!(bytes("{bytes 3 xy} \\\\").unwrap(), b"xyxyxy \\\r\n");
        assert_eq!(bytes("{\"json\": {}}").unwrap(), b"{\"json\": {}}\r\n");
        assert!(bytes("{nobody}").is_err() && bytes("\\q").is_err());
    }

    #[test]
    fn a_line_that_means_nothing_is_named() {
        for (text, line) in
            [("\nclient dances", 2), ("nobody> x", 1), ("client< GET / HTTP/1.1", 1), ("wait long", 1)]
        {
            let problem = Case::parse("x.case", text).unwrap_err();
            assert!(problem.starts_with(&format!("x.case:{line}: ")), "{problem}");
        }
    }
}
