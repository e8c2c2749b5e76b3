//! Ringway: a reverse proxy and load balancer for Linux, built on io_uring.
//!
//! Three kinds of code, and imports that run one way only:
//!
//! 1. **Pure**: [`http1`], [`route`], [`balance`], [`upstream`], [`config`]: bytes, numbers and moments in, facts
//!    and choices out. No `async`, no sockets, no clock, no logger.
//! 2. **Drivers**: [`proxy`]: `async`, generic over exactly one parameter, `R:` [`runtime::Runtime`]. The order in
//!    which things happen.
//! 3. **Runtimes**: [`runtime`]: they implement the seam and have never heard of HTTP.
//!
//! Beside the data plane stands [`control`]: one ordinary thread that starts the workers, waits for signals and
//! never touches a request. [`telemetry`] is where the two meet.

pub mod balance;
pub mod cli;
pub mod config;
pub mod control;
pub mod http1;
pub mod proxy;
pub mod route;
pub mod runtime;
pub mod telemetry;
pub mod upstream;
