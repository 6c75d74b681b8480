//! L3: what follows from an outcome.
