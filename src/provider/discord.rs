//! The discord provider.
