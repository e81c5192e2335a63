//! What an endpoint's refusal asks of whoever holds a private connection: go elsewhere, ask once, try again.

use prism_proto::model::EndpointAddr;

use super::{CallError, ClusterWorker, Observation, Place, redirect::address};
use crate::protocol::redis::reply::{ErrorKind, error_kind};

/// Where a request that was not executed is to go.
#[derive(Clone, Debug)]
pub enum Turn {
    /// To this endpoint this once, behind `ASKING`.
    Ask(Place),
    /// To whoever has its key in a moment.
    Later,
    /// To this endpoint, which has its slot now.
    Moved(Place),
}

impl ClusterWorker {
    /// Returns where a request is to go that was answered with `reply`; `None` when the reply is the client's.
    ///
    /// # Errors
    /// When a pool's endpoint redirects, or a redirect leads nowhere.
    pub fn turn(&self, from: &Place, reply: &[u8]) -> Result<Option<Turn>, CallError> {
        let is_cluster = self.settings_ref().is_cluster;
        let Some(kind) = error_kind(reply) else {
            return Ok(None);
        };
        let nowhere = |slot| CallError::NoOwner {
            cluster: self.name().to_owned(),
            slot,
        };
        Ok(Some(match kind {
            ErrorKind::Ask { .. } | ErrorKind::Moved { .. } if !is_cluster => {
                let endpoint = from.target.label.clone();
                return Err(CallError::NotAPool { endpoint });
            }
            ErrorKind::Ask { slot, addr } => {
                let addr = address(addr, &from.target).ok_or_else(|| nowhere(slot))?;
                let node = self.asked(&addr).ok_or_else(|| nowhere(slot))?;
                Turn::Ask(self.place(node))
            }
            ErrorKind::Moved { slot, addr } => {
                let addr = address(addr, &from.target).ok_or_else(|| nowhere(slot))?;
                let node = self.note_owner(slot, &addr).ok_or_else(|| nowhere(slot))?;
                Turn::Moved(self.place(node))
            }
            ErrorKind::ClusterDown | ErrorKind::TryAgain if is_cluster => Turn::Later,
            ErrorKind::Loading => Turn::Later,
            _ => return Ok(None),
        }))
    }

    /// Notes that an endpoint owns a slot, and returns its number; `None` when redirects named too many.
    pub(super) fn note_owner(&self, slot: u16, addr: &EndpointAddr) -> Option<usize> {
        self.metrics.moved_total.inc();
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.find(addr, |target| self.register(target))?;
        let is_news = nodes.learn(slot, node);
        drop(nodes);
        if is_news {
            self.moved();
            let endpoint = addr.to_string();
            self.observe(Observation::Moved { slot, endpoint });
        }
        Some(node)
    }

    /// Returns the number of an endpoint that is to be asked once; `None` when redirects named too many.
    pub(super) fn asked(&self, addr: &EndpointAddr) -> Option<usize> {
        self.metrics.ask_total.inc();
        let mut nodes = self.nodes.borrow_mut();
        nodes.find(addr, |target| self.register(target))
    }
}
