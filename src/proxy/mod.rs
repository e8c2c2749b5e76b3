//! The drivers of the data plane: `async`, generic over the runtime, the order in which things happen.
//!
//! The life of an exchange, file by file: `worker` accepts, `http` reads request after request of one client, `plan`
//! decides about one of them, `exchange` carries it out in one or more `attempt`s, `relay` moves its bodies, `tunnel`
//! what follows an upgrade. What can go wrong is a [`failure::Failure`], and [`verdict::verdict`] says what follows.

mod answer;
mod attempt;
mod body;
mod exchange;
pub mod failure;
mod head;
mod http;
mod plan;
mod reading;
mod relay;
mod response;
mod shared;
mod sink;
mod tally;
mod tunnel;
pub mod verdict;
mod worker;

pub use http::TOLD;
pub use shared::Shared;
pub use worker::serve;
