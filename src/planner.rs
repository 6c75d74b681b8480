//! L4: deciding what is due.
