//! L6: start, drain, stop.
