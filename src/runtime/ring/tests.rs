//! Tests of the ring runtime.
