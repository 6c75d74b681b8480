//! L4: what has come due.
