//! A headless Chromium, driven through its DevTools protocol.
//!
//! With `--remote-debugging-pipe` Chromium reads commands from descriptor 3 and writes replies to descriptor 4, as JSON with a
//! zero byte behind each. A shell makes these two of its standard input and output, so neither a port nor a WebSocket is needed.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support;

/// The longest wait for an answer, and for a condition.
const PATIENCE: Duration = Duration::from_secs(60);

/// The width of the window, and its height.
pub(crate) const WINDOW: (u32, u32) = (900, 850);

/// A browser with one page. It is killed when this is dropped, with all its processes.
pub(crate) struct Browser {
    shell: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    /// The commands that were sent.
    sent: u64,
    /// The page's session; empty before it is opened.
    session: String,
    _profile: TempDir,
}

/// The browser, if it is installed.
fn program() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find_map(support::find)
}

impl Browser {
    /// Opens a page, if there is a browser; otherwise reports that the test is skipped.
    pub(crate) fn open(address: &str) -> Option<Browser> {
        let Some(program) = program() else {
            support::skipped("chromium is not installed, so a page was not tested in a browser");
            return None;
        };
        let profile = tempfile::tempdir().expect("a directory can be made");
        let (width, height) = WINDOW;
        let mut shell = Command::new("bash");
        shell
            .args([
                "-c",
                "exec \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null",
                "bash",
            ])
            .arg(program)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--disable-gpu",
                "--no-first-run",
            ])
            // Its sandbox needs a user that is not root, and /dev/shm is small in a container. The page is ours.
            .args([
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ])
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut shell = shell.spawn().expect("bash starts");
        let stdout = shell.stdout.take().expect("it is piped");
        let (sender, messages) = unbounded();
        thread::spawn(move || {
            let texts = BufReader::new(stdout).split(0).map_while(Result::ok);
            let values = texts.filter_map(|text| serde_json::from_slice(&text).ok());
            for value in values {
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        let mut browser = Browser {
            commands: shell.stdin.take().expect("it is piped"),
            shell,
            messages,
            sent: 0,
            session: String::new(),
            _profile: profile,
        };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.ask("Target.attachToTarget", attach);
        browser.session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        browser.ask(
            "Page.navigate",
            json!({"url": format!("http://{address}/")}),
        );
        browser.until("document.body?.dataset.ready === 'yes'");
        Some(browser)
    }

    /// Sends a command and waits for its result.
    #[track_caller]
    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let mut command = json!({"id": self.sent, "method": method, "params": parameters});
        if !self.session.is_empty() {
            command["sessionId"] = self.session.as_str().into();
        }
        write!(self.commands, "{command}\0").expect("the browser runs");
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            // The others are events.
            if message["id"] == self.sent {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true});
        let mut result = self.ask("Runtime.evaluate", parameters);
        let failed = &result["exceptionDetails"];
        assert!(failed.is_null(), "{expression}: {failed}");
        result["result"]["value"].take()
    }

    /// The text of an element, as it is shown.
    #[track_caller]
    pub(crate) fn text(&mut self, id: &str) -> String {
        let text = self.value(&format!("document.getElementById('{id}').innerText"));
        text.as_str()
            .unwrap_or_else(|| panic!("no text in {id}: {text}"))
            .to_owned()
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.value(expression) != true {
            assert!(
                Instant::now() < deadline,
                "not in {PATIENCE:?}: {expression}"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until an element has this text. The live figures come with the answer of another request than the product.
    #[track_caller]
    pub(crate) fn shows(&mut self, id: &str, text: &str) {
        self.until(&format!(
            "document.getElementById('{id}').innerText === '{text}'"
        ));
    }

    /// Presses a button in the way of a mouse: at the place where it is shown.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const b = document.querySelector('{selector}'); b.scrollIntoView({{block: 'center'}}); \
             const r = b.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Types into a field, in place of its text.
    #[track_caller]
    pub(crate) fn fill(&mut self, id: &str, text: &str) {
        self.value(&format!("document.getElementById('{id}').select()"));
        self.ask("Input.insertText", json!({"text": text}));
    }

    /// Changes the size of the window's inside.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", size);
    }

    /// Lets the page follow a theme, `light` or `dark`.
    pub(crate) fn theme(&mut self, name: &str) {
        let feature = json!([{"name": "prefers-color-scheme", "value": name}]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": feature}));
    }

    /// Moves the pointer to the middle of an element.
    #[track_caller]
    pub(crate) fn point_to(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const e = document.querySelector('{selector}'); e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        let event = json!({"type": "mouseMoved", "x": place[0], "y": place[1]});
        self.ask("Input.dispatchMouseEvent", event);
    }

    /// Writes a picture of the window to a PNG file.
    pub(crate) fn save_picture(&mut self, file: &Path) {
        self.value("scrollTo(0, 0)");
        let picture = self.ask("Page.captureScreenshot", json!({"format": "png"}));
        let picture = picture["data"].as_str().expect("a picture");
        let file = File::create(file).expect("it can be written");
        let mut decoder = Command::new("base64");
        decoder.arg("--decode").stdin(Stdio::piped()).stdout(file);
        let mut decoder = decoder.spawn().expect("base64 is installed");
        let mut input = decoder.stdin.take().expect("it is piped");
        input.write_all(picture.as_bytes()).expect("it is taken");
        drop(input);
        assert!(decoder.wait().expect("it ends").success());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = i32::try_from(self.shell.id()).map(Pid::from_raw);
        let _ = group.map(|group| killpg(group, Signal::SIGKILL));
        let _ = self.shell.wait();
    }
}
