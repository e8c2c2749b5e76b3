//! The classic threaded model: an acceptor hands each connection to an idle thread, which drives it with `poll(2)`.
