//! Memory instead of sockets, virtual time, seeded faults: the runtime of the tests.
