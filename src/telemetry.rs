//! L6: logs and metrics out.
