//! L3: filling a template.
