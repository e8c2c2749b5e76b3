//! The processes: backends, proxies and clients are started, measured and stopped; rows go to the run's folder.

pub mod backends;
pub mod check;
pub mod folder;
pub mod foreign;
pub mod http;
pub mod interrupt;
pub mod machine;
pub mod measure;
pub mod process;
pub mod processes;
pub mod progress;
pub mod proxies;
pub mod start_up;
pub mod sweep;
pub mod threads;
