//! L5: the gRPC doors.
pub mod convert;
pub mod errors;
pub mod page;
