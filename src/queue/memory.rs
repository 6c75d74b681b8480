//! The in-process queue.
