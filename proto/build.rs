//! Compiles the messages without a system protoc and keeps their descriptors for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 4] = [
    "prism/config/v1/config.proto",
    "prism/admin/v1/admin.proto",
    "prism/discovery/v1/discovery.proto",
    "prism/store/v1/store.proto",
];

/// Messages whose Debug is written by hand, in `src/pb.rs`.
const SECRETS: [&str; 1] = ["prism.config.v1.Secret"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=prism");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .btree_map(".")
        .skip_debug(SECRETS)
        .compile_fds(descriptors)?;
    Ok(())
}
