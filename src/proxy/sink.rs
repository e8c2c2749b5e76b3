//! Lets heads be written straight into what will be sent.

use crate::http1::Sink;
use crate::runtime::Batch;

impl Sink for Batch {
    fn put(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }
}
