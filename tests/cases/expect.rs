//! Compares what was received with what a transcript expects.

use super::language::{HeadPattern, Part};

/// Fields that the proxy adds: they may be there without being listed.
const ADDED: [&str; 4] = ["via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// What comes of a look at the bytes so far.
pub(crate) enum Outcome {
    /// All is there, and so many bytes were it.
    Met(usize),
    /// So far nothing is wrong.
    NotYet,
}

/// Compares the bytes received so far with the parts that are expected, in order.
///
/// # Errors
/// What is not as expected.
pub(crate) fn compare(
    parts: &[Part],
    bytes: &[u8],
    name: impl Fn(&str) -> Option<String> + Copy,
) -> Result<Outcome, String> {
    let (mut at, mut length) = (0, 0);
    for part in parts {
        let rest = &bytes[at..];
        at += match part {
            Part::Head(pattern) => {
                let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return Ok(Outcome::NotYet);
                };
                length = check_head(pattern, &rest[..end], name)?;
                end + 4
            }
            Part::Bytes(line) => {
                let expected = line.bytes(name)?;
                let common = expected.len().min(rest.len());
                if rest[..common] != expected[..common] {
                    return Err(format!("expected {}, got {}", shown(&expected), shown(rest)));
                }
                if common < expected.len() {
                    return Ok(Outcome::NotYet);
                }
                common
            }
            Part::AnyBody(words) => {
                let Some(body) = rest.get(..length) else { return Ok(Outcome::NotYet) };
                let body = String::from_utf8_lossy(body);
                if !body.contains(words.as_str()) {
                    return Err(format!("expected \"{words}\" in the body, got \"{body}\""));
                }
                length
            }
        };
    }
    Ok(Outcome::Met(at))
}

/// Checks a head, its empty line left out, and says what its `Content-Length` is (0 without).
fn check_head(
    pattern: &HeadPattern,
    head: &[u8],
    name: impl Fn(&str) -> Option<String> + Copy,
) -> Result<usize, String> {
    let whole = String::from_utf8_lossy(head);
    let expand = |text: &str| super::language::expand(text, name);
    let mut lines = whole.split("\r\n");
    let start = lines.next().unwrap_or_default();
    if !matches(&expand(&pattern.start)?, start) {
        return Err(format!("expected \"{}\", got:\n{whole}", pattern.start));
    }
    let mut fields: Vec<(&str, &str)> =
        lines.map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
    let length = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    for (name, value) in &pattern.fields {
        let value = expand(value)?;
        let found =
            fields.iter().position(|field| field.0.eq_ignore_ascii_case(name) && matches(&value, field.1));
        let found = found.ok_or_else(|| format!("expected \"{name}: {value}\" in:\n{whole}"))?;
        fields.remove(found);
    }
    for (name, value) in fields {
        let is_in = |names: &[&str]| names.iter().any(|other| other.eq_ignore_ascii_case(name));
        let is_absent = pattern.absent.iter().any(|other| other.eq_ignore_ascii_case(name));
        if is_absent || !(pattern.has_more || is_in(&ADDED)) {
            return Err(format!("\"{name}: {value}\" was not expected in:\n{whole}"));
        }
    }
    Ok(length)
}

/// Whether a text is as a pattern says; `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
        }),
    }
}

/// Bytes for people, long ones cut.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let end = bytes.len().min(400);
    let more = if end < bytes.len() { format!("… ({} bytes)", bytes.len()) } else { String::new() };
    format!("\"{}\"{more}", bytes[..end].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Action, Case};

    fn look(expected: &str, bytes: &str) -> Result<Option<usize>, String> {
        let text: String = expected.lines().map(|line| format!("client< {line}\n")).collect();
        let case = Case::parse("x", &text)?;
        let Action::Expect(_, parts) = &case.steps[0].action else { panic!("not an expectation") };
        Ok(match compare(parts, bytes.as_bytes(), |_| None)? {
            Outcome::Met(count) => Some(count),
            Outcome::NotYet => None,
        })
    }

    #[test]
    fn fields_are_a_set_and_what_the_proxy_adds_need_not_be_listed() {
        let head = "HTTP/1.1 200 OK\r\nB: 2\r\nvia: x\r\na: 1\r\n\r\n";
        assert_eq!(look("HTTP/1.1 200 *\nA: 1\nb: *\n\n", head), Ok(Some(head.len())));
        assert_eq!(look("HTTP/1.1 200 *\nA: 1\nb: *\n\n", &head[..20]), Ok(None));
        assert!(look("HTTP/1.1 200 *\nA: 1\n\n", head).unwrap_err().contains("\"B: 2\" was not expected"));
        assert_eq!(look("HTTP/1.1 200 *\nA: 1\n*\n\n", head), Ok(Some(head.len())));
        assert!(look("HTTP/1.1 200 *\n*\n!Via\n\n", head).unwrap_err().contains("via"));
        assert!(look("HTTP/1.1 200 *\nA: 2\n*\n\n", head).unwrap_err().contains("expected \"A: 2\""));
    }

    #[test]
    fn bodies_are_compared_byte_by_byte_or_by_a_word() {
        let answer = "HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nhello rest";
        assert_eq!(look("HTTP/1.1 404 No\n*\n\n... ell ...", answer), Ok(Some(answer.len() - 5)));
        assert_eq!(look("HTTP/1.1 404 No\n*\n\nhello\\", answer), Ok(Some(answer.len() - 5)));
        assert_eq!(look("HTTP/1.1 404 No\n*\n\nhello rest, and more\\", answer), Ok(None));
        assert!(look("HTTP/1.1 404 No\n*\n\njello\\", answer).is_err());
        assert!(look("HTTP/1.1 404 No\n*\n\n... bye ...", answer).is_err());
    }
}
