//! What Ringway can tell about its work: one [`Record`] an exchange, and the access log made of it.

pub mod access_log;
mod line;
mod moments;
mod notice;
pub mod record;

pub use access_log::{Log, LogWriter};
pub use moments::{Moments, Phases};
pub use notice::notice;
pub use record::Record;
