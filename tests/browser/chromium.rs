//! A headless Chromium, told what to do by the DevTools protocol.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

const PATIENCE: Duration = Duration::from_secs(30);
const WINDOW: &str = "--window-size=1100,1000";

/// A browser with one empty page and a profile of its own; it ends when dropped.
pub(crate) struct Chromium {
    process: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    last_id: u64,
    _profile: tempfile::TempDir,
}

impl Chromium {
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars", WINDOW])
            .args(["--remote-debugging-port=0", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium is not installed: scripts/test installs it");
        let url = debugging_url(&mut process);
        let authority = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
        let stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(&url, stream).unwrap();
        let mut browser = Self { process, socket, session: String::new(), last_id: 0, _profile: profile };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": page["targetId"], "flatten": true }));
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        browser
    }

    /// Goes to an address and waits until the page has loaded.
    pub(crate) fn open(&mut self, url: &str) {
        let result = self.call("Page.navigate", json!({ "url": url }));
        assert!(result.get("errorText").is_none(), "{url}: {result}");
        self.wait_until(&format!("location.href == '{url}' && document.readyState == 'complete'"));
    }

    /// Waits until an expression is true, across navigations.
    pub(crate) fn wait_until(&mut self, condition: &str) {
        let end = Instant::now() + PATIENCE;
        while self.evaluate(&format!("!!({condition}) + ''")) != "true" {
            let here = self.evaluate("location.href + ' ' + document.readyState");
            assert!(Instant::now() < end, "waited in vain at {here}: {condition}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The value of an expression, or of its promise, that is a string; empty if there is none.
    pub(crate) fn evaluate(&mut self, expression: &str) -> String {
        let arguments = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call("Runtime.evaluate", arguments);
        result["result"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// Clicks with the mouse into the middle of an element.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.evaluate(&format!(
            "(element => {{ element.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             let box = element.getBoundingClientRect(); \
             return (box.x + box.width / 2) + ' ' + (box.y + box.height / 2); }}) \
             (document.querySelector('{selector}'))"
        ));
        let (x, y) = place.split_once(' ').unwrap();
        let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Saves what the window shows as PNG.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        let result = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let picture = data_encoding::BASE64.decode(result["data"].as_str().unwrap().as_bytes()).unwrap();
        std::fs::write(path, picture).unwrap();
    }

    /// Calls a method of the protocol and gives its result; events that come meanwhile are passed over.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut request = json!({ "id": self.last_id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(request.to_string())).unwrap();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let mut answer: Value = serde_json::from_str(text.as_str()).unwrap();
            if answer["id"] == self.last_id {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
        panic!("no answer to {method} within {PATIENCE:?}");
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The browser ends its own helpers when it is asked to; killed, it might leave them.
        let _ = self.socket.send(Message::text(json!({ "id": 0, "method": "Browser.close" }).to_string()));
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && !matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address that the browser announces; what it says later is read and dropped so that it never waits.
fn debugging_url(process: &mut Child) -> String {
    let (found, announced) = std::sync::mpsc::channel();
    let stderr = BufReader::new(process.stderr.take().unwrap());
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                let _ = found.send(url.to_owned());
            }
        }
    });
    announced.recv_timeout(PATIENCE).expect("the browser starts")
}
