//! One named cluster in service: where keys go, what redirects mean, what becomes of replies.
//!
//! Reading order: `topology` (who is there), `runtime` (what is served), `worker` (one worker's side of it),
//! `dispatch` (requests out), `pump` (replies in), `redirect` and `retry` (what Redis Cluster asks for),
//! `subscriptions` (channels and patterns).

mod answer;
mod block;
mod dispatch;
mod error;
mod gather;
mod kinds;
mod learned;
mod lease;
mod nodes;
mod order;
mod peers;
mod pump;
mod redirect;
mod retry;
mod runtime;
mod scripts;
mod spares;
mod subscriptions;
mod sweep;
mod topology;
mod turn;
mod worker;

pub use dispatch::{Apart, Batch, Call, Divisible, Located, Together};
pub use error::CallError;
pub use learned::Knowledge;
pub use lease::{Leased, Place};
pub use order::Order;
pub use peers::{Own, Peers};
pub use redirect::{ASKING, finish};
pub use runtime::{ClusterRuntime, ClusterShared, Observation, Runtime};
pub use scripts::{Scripts, Sha};
pub use subscriptions::{Joining, Member, NOTIFICATIONS};
pub use topology::{
    EndpointHealth, NO_OWNER, Observed, Placement, Topology, TopologyEndpoint, TopologyHandle,
};
pub use turn::Turn;
pub use worker::{ClusterWorker, Settings};
