//! Redis replies: delimiting them, reading out of them, writing them.

mod decode;
mod kind;
mod read;
mod write;

pub use decode::{ReplyDecoder, ReplyError};
pub use kind::{ErrorKind, error_kind, error_text, is_error};
pub use read::{Elements, array_elements, bulk_string, integer};
pub use write::{
    Dialect, write_array_header, write_bulk, write_bulk_header, write_error, write_integer,
    write_map_header, write_null, write_null_array, write_set_header, write_simple, write_verbatim,
};

#[cfg(test)]
mod tests;
