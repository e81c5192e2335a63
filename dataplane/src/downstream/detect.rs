//! Which of its protocols a Memcached client speaks: told by its first byte.

use std::rc::Rc;

use super::{
    binary::Binary,
    memcache::Memcache,
    session::{Next, Protocol},
};
use crate::{
    cluster::{Batch, ClusterWorker},
    inflight::Piece,
    protocol::{memcache::binary::REQUEST, message::Progress},
};

/// A client of Memcached, before and after its first byte.
pub(super) struct Detect {
    cluster: Rc<ClusterWorker>,
    spoken: Option<Box<dyn Protocol>>,
}

impl Detect {
    pub(super) fn new(cluster: &Rc<ClusterWorker>) -> Self {
        Self {
            cluster: Rc::clone(cluster),
            spoken: None,
        }
    }
}

impl Protocol for Detect {
    fn decode(&mut self, bytes: &[u8]) -> Result<Progress, Vec<u8>> {
        let cluster = &self.cluster;
        let spoken = self.spoken.get_or_insert_with(|| match bytes.first() {
            Some(&REQUEST) => Box::new(Binary::new(cluster)),
            _ => Box::new(Memcache::new(cluster)),
        });
        spoken.decode(bytes)
    }

    fn serve(&mut self, request: Piece<'_>, batch: &mut Batch<'_>) -> Next {
        match &mut self.spoken {
            Some(spoken) => spoken.serve(request, batch),
            None => Next::Continue,
        }
    }

    fn is_dismissed(&mut self, cluster: &ClusterWorker) -> bool {
        let spoken = self.spoken.as_mut();
        spoken.is_some_and(|spoken| spoken.is_dismissed(cluster))
    }

    fn shrink(&mut self) {
        if let Some(spoken) = &mut self.spoken {
            spoken.shrink();
        }
    }
}
