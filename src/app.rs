//! L7: wiring.
