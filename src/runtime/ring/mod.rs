//! Our own thin event loop on io_uring.
