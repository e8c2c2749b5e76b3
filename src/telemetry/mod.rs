//! What Ringway can tell about its work: one [`Record`] an exchange, and what is made of it.
//!
//! A worker's [`Recorder`] takes the record, counts it, adds its phases to the distributions and logs it. Whoever asks
//! reads the [`Meter`], which merges what the workers have written and stops none of them.

pub mod access_log;
pub mod audit;
pub mod catalogue;
mod distribution;
pub mod exposition;
mod failures;
mod line;
mod meter;
mod moments;
mod notice;
pub mod record;
mod series;
mod shard;
mod switch;

pub use access_log::{Log, LogWriter};
#[cfg(test)]
pub(crate) use distribution::tests::of as distribution_of;
pub use distribution::{DIGITS, Distribution, HIGHEST_US};
pub use failures::Label;
pub use meter::{FailureCounts, Meter, Recorder};
pub use moments::{Moments, Phases};
pub use notice::notice;
pub use record::Record;
pub use series::{OTHERS, Series, SeriesTable};
pub use shard::{Counter, Phase};
pub(crate) use switch::is_recording;
#[cfg(feature = "recording-switch")]
pub use switch::switch_recording;
