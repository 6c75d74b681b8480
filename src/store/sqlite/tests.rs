//! Tests of what only this implementation promises.
