//! What Ringway can tell about its work: one [`Record`] an exchange, and the access log made of it.

pub mod access_log;
pub mod record;

pub use access_log::{Log, LogWriter};
pub use record::Record;
