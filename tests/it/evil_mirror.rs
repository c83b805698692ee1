//! Mirrors that send something else than they should.
