//! When a request may be sent a second time.

/// What had happened when a backend connection ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttemptState {
    /// The connection had served an exchange before.
    pub reused: bool,
    /// A byte of the response had come.
    pub response_begun: bool,
    /// A byte of the request's body had been taken from the client.
    pub body_consumed: bool,
    /// The request's method is idempotent (RFC 9110 section 9.2.2).
    pub idempotent: bool,
    /// A byte of the request may have left.
    pub request_sent: bool,
    /// The request was sent again already.
    pub retried: bool,
}

impl AttemptState {
    /// Whether the request may be sent again, once, on a new connection to the same backend.
    ///
    /// RFC 9110 section 9.2.2: "A proxy MUST NOT automatically retry non-idempotent requests." RFC 9112 section 9.3.1
    /// names the one cause: a persistent connection that the server closed while it was idle.
    pub fn may_retry(self) -> bool {
        self.reused
            && !self.retried
            && !self.response_begun
            && !self.body_consumed
            && (self.idempotent || !self.request_sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: AttemptState = AttemptState {
        reused: true,
        response_begun: false,
        body_consumed: false,
        idempotent: true,
        request_sent: true,
        retried: false,
    };

    #[test]
    fn only_a_stale_idempotent_request_without_consumed_body_is_retried_and_only_once() {
        assert!(STALE.may_retry());
        assert!(AttemptState { idempotent: false, request_sent: false, ..STALE }.may_retry());
        assert!(!AttemptState { idempotent: false, ..STALE }.may_retry());
        assert!(!AttemptState { reused: false, ..STALE }.may_retry());
        assert!(!AttemptState { response_begun: true, ..STALE }.may_retry());
        assert!(!AttemptState { body_consumed: true, ..STALE }.may_retry());
        assert!(!AttemptState { retried: true, ..STALE }.may_retry());
    }
}
