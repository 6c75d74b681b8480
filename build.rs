//! Turns the protos into Rust, without protoc: the types and services for `src/proto.rs`, and the descriptor set that
//! the reflection service shows.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message as _;

const PROTOS: [&str; 4] = [
    "tidings/v1/notification_service.proto",
    "tidings/v1/customer_service.proto",
    "tidings/v1/template_service.proto",
    "tidings/v1/operator_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=proto");

    let descriptors = protox::compile(PROTOS, ["proto", "proto/third_party"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("tidings.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        // Sorted maps make the encoding of a message deterministic, which the hash of a request needs.
        .btree_map(".")
        .extern_path(".google.rpc", "::tonic_types::pb")
        .compile_fds(descriptors)?;
    Ok(())
}
