//! The chunks of one push put together, bounded.

use prism_proto::pb::discovery::v1::{Lane, Push};

use super::StreamError;

/// Bytes of bodies that the chunks of one push may hold.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Resources, removals and deltas that one push may hold.
const MAX_ITEMS: usize = 16_384;

/// Collects the chunks of one lane's push.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    push: Option<Push>,
    bytes: usize,
}

impl Assembly {
    /// Takes a chunk; returns the whole push once its last one is there.
    ///
    /// A chunk of another nonce starts anew: the control plane gave the earlier push up.
    ///
    /// # Errors
    /// When the chunks hold more than is bounded.
    pub(super) fn add(&mut self, chunk: Push) -> Result<Option<Push>, StreamError> {
        let mut whole = match self.push.take() {
            Some(begun) if begun.nonce == chunk.nonce => begun,
            _ => {
                self.bytes = 0;
                Push {
                    lane: chunk.lane,
                    nonce: chunk.nonce,
                    ..Push::default()
                }
            }
        };
        self.bytes += chunk
            .upserts
            .iter()
            .map(|resource| resource.body.len())
            .sum::<usize>();
        let is_last = chunk.last;
        whole.epoch = chunk.epoch;
        whole.revision = chunk.revision;
        whole.full |= chunk.full;
        whole.last = is_last;
        whole.upserts.extend(chunk.upserts);
        whole.removals.extend(chunk.removals);
        whole.slot_deltas.extend(chunk.slot_deltas);
        let items = whole.upserts.len() + whole.removals.len() + whole.slot_deltas.len();
        if items > MAX_ITEMS || self.bytes > MAX_BYTES {
            return Err(StreamError::PushTooLarge {
                items,
                bytes: self.bytes,
            });
        }
        if is_last {
            return Ok(Some(whole));
        }
        self.push = Some(whole);
        Ok(None)
    }
}

/// The assemblies of all lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    config: Assembly,
    slot_maps: Assembly,
    peers: Assembly,
}

impl Lanes {
    /// Takes a chunk; returns the whole push once its last one is there.
    ///
    /// # Errors
    /// When the lane is not known or the push is too large.
    pub(super) fn add(&mut self, chunk: Push) -> Result<Option<(Lane, Push)>, StreamError> {
        let lane = chunk.lane();
        let assembly = match lane {
            Lane::Config => &mut self.config,
            Lane::Peers => &mut self.peers,
            Lane::SlotMaps => &mut self.slot_maps,
            Lane::Unspecified => return Err(StreamError::UnknownLane { lane: chunk.lane }),
        };
        Ok(assembly.add(chunk)?.map(|push| (lane, push)))
    }
}
