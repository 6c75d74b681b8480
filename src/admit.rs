//! L3: checking what a caller sent.
