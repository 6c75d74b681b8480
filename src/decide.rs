//! L3: the pure decision.
