//! RESP, the protocol of Redis: a reader of requests and a writer of replies.
