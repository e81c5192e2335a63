//! Generated messages and services, as `tonic` and `prost` make them.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::large_futures,
    reason = "generated code; its documentation is in the .proto files"
)]

/// What operators define: `prism.config.v1`.
pub mod config {
    pub mod v1 {
        tonic::include_proto!("prism.config.v1");

        impl std::fmt::Debug for Secret {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("Secret(redacted)")
            }
        }
    }
}

/// What operators ask of the control plane: `prism.admin.v1`.
pub mod admin {
    pub mod v1 {
        tonic::include_proto!("prism.admin.v1");
    }
}

/// The stream between control plane and data planes: `prism.discovery.v1`.
pub mod discovery {
    pub mod v1 {
        tonic::include_proto!("prism.discovery.v1");
    }
}

/// What the control plane keeps: `prism.store.v1`.
pub mod store {
    pub mod v1 {
        tonic::include_proto!("prism.store.v1");
    }
}

/// Descriptors of all messages, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
