//! Messages to checked values and back; reading collects everything that is wrong.

mod choice;
mod encoding;
mod peers;
mod reader;
mod resolved;
mod slots;
mod spec_in;
mod spec_out;
mod violation;

#[cfg(test)]
mod tests;

pub use encoding::{
    DecodeError, decode, decode_resolved, decode_spec, encode, encode_resolved, encode_spec,
};
pub use peers::{decode_peers, encode_peers};
pub use resolved::resolved_from_pb;
pub use slots::{
    decode_slot_map, encode_slot_map, slot_delta_from_pb, slot_delta_to_pb, slot_map_from_pb,
    slot_map_to_pb,
};
pub use spec_in::{draft_from_pb, spec_from_pb};
pub use spec_out::{draft_to_pb, resolved_to_pb, spec_to_pb};
pub use violation::{
    violations_from_nack, violations_to_admin, violations_to_nack, warnings_to_admin,
};
