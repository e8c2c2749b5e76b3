//! The program as its users meet it: started as a process, asked by curl, ab, wrk and a WebSocket client.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

/// Makes a test for each runtime of each of these functions, which take the runtime's name.
macro_rules! on_each_runtime {
    ($($test:ident),+ $(,)?) => {
        ringway::for_each_runtime!(on_runtime, $($test),+);
    };
}

/// The tests for one runtime, left out where the machine does not allow it.
macro_rules! on_runtime {
    ($name:ident, $kind:expr, $runtime:ty, $($test:ident),+) => {
        mod $name {
            $(#[test]
            fn $test() {
                if crate::support::runtimes::is_allowed($kind) {
                    super::$test($kind);
                }
            })+
        }
    };
}

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod attempts;
mod audit;
mod balance;
mod big_bodies;
mod demo;
mod denied;
mod http10;
mod lifecycle;
mod outage;
mod sealed;
mod sharing;
mod terminal;
mod websocket;
