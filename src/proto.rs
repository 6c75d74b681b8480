//! L1: the one home of the code generated from `proto/`, and of what plain protobuf values mean.
//!
//! Used by the doors (`api`) and by the command line's `client`. Holds no rule of the service: only the shapes of the wire
//! and the conversions of well-known types, each of which refuses what its target cannot hold.

pub use generated::*;
pub use prost::Message as WireMessage;
pub use prost_types::Timestamp as WireTime;
pub use prost_types::{FieldMask, Struct, Value};
pub use tonic_types::pb::Status as RpcStatus;

mod json;
mod value;

pub use json::JsonCodec;
pub use value::{ValueError, duration, json, structure, time, wire_duration, wire_time};

/// All descriptors, encoded, for the reflection service.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tidings.bin"));

#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    reason = "generated code; its comments are those of the protos"
)]
mod generated {
    tonic::include_proto!("tidings.v1");
}
