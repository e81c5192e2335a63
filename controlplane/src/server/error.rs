//! Why the control plane cannot start or go on.

use std::{io, net::SocketAddr};

use crate::{catalog::CatalogError, store::StoreError};

/// Why the control plane cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listen address cannot be used.
    #[error("cannot listen on {address} (--{flag}): {cause}")]
    Bind {
        /// The flag that names it.
        flag: &'static str,
        /// What it says.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// The definitions cannot be read.
    #[error("cannot read the definitions")]
    Catalog(#[from] CatalogError),
    /// A part of the server ended.
    #[error("a part of the server ended: {0}")]
    Ended(String),
    /// A port beyond loopback would be open to everybody.
    #[error(
        "--{flag} {address} is reachable from other machines and nobody would have to authenticate: use a loopback address, or --insecure"
    )]
    Exposed {
        /// The flag that names it.
        flag: &'static str,
        /// Where it would listen.
        address: SocketAddr,
    },
    /// The store needs a folder.
    #[error("--data-dir is needed with --store sled")]
    NoDataDir,
    /// gRPC reflection cannot be built.
    #[error("cannot describe the services: {0}")]
    Reflection(String),
    /// A connection loop failed.
    #[error("cannot go on serving")]
    Serve(#[from] io::Error),
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// The text of an address is none.
    #[error("--{flag} {address} is no address: give HOST:PORT, such as 127.0.0.1:7100")]
    UnknownAddress {
        /// The flag that names it.
        flag: &'static str,
        /// What it says.
        address: String,
    },
    /// This version cannot do it.
    #[error("{0} is not supported by this version")]
    Unsupported(&'static str),
}

impl StartError {
    /// The exit code of a program that ends for this reason: 64 usage, 78 bad configuration, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoDataDir => 64,
            Self::Exposed { .. } | Self::UnknownAddress { .. } | Self::Unsupported(_) => 78,
            _ => 1,
        }
    }
}
