//! One request by the real curl, and its answer.

use std::process::{Command, Stdio};

/// What curl got.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// All fields, the status line first.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A field's value; names are compared without regard to case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Asks with these arguments; it has to get an answer, whatever its status.
pub(crate) fn curl(arguments: &[&str]) -> Answer {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "60", "--noproxy", "*"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("curl is not installed: scripts/test installs it");
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let mut rest = output.stdout;
    loop {
        let end = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an answer has a head") + 4;
        let body = rest.split_off(end);
        let head = String::from_utf8(rest).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        // An interim answer comes before the real one.
        if !(100..200).contains(&status) || status == 101 {
            return Answer { status, head, body };
        }
        rest = body;
    }
}
