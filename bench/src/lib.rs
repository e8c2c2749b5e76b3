//! The sweep: what it runs ([`plan`]), what it reads ([`clients`], [`latency`]), what follows from it ([`counts`],
//! [`compare`], [`conclusion`]), how it is shown ([`report`]), and the processes that do it ([`drive`]).

#![forbid(unsafe_code)]

pub mod agreement;
pub mod bound;
pub mod chance;
pub mod clients;
pub mod compare;
pub mod conclusion;
pub mod counts;
pub mod drive;
pub mod estimate;
pub mod latency;
pub mod older;
pub mod plan;
pub mod report;
pub mod row;
pub mod setup;
pub mod stats;
pub mod summary;
#[cfg(test)]
mod testing;
pub mod words;
