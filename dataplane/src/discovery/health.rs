//! Health frames: two bits an endpoint, bound to the revision that their order comes from.

use std::time::Duration;

use prism_proto::pb::discovery::v1::{ClusterHealth, HealthFrame};

use crate::cluster::EndpointHealth;

/// How long ejections hold when a frame does not say.
const LEASE: Duration = Duration::from_secs(30);

/// The health of one cluster's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Name of the cluster.
    pub cluster: String,
    /// Revision of the resource that the order comes from.
    pub revision: u64,
    /// In the order of the definition, or of the slot map.
    pub states: Vec<EndpointHealth>,
    /// How long the ejections hold.
    pub lease: Duration,
}

/// Returns the health of each cluster in a frame; one that is cut short is left out.
pub(super) fn read(frame: HealthFrame) -> Vec<Health> {
    let lease: Option<Duration> = frame.lease.and_then(|lease| lease.try_into().ok());
    let lease = lease.unwrap_or(LEASE);
    let clusters = frame.clusters.into_iter();
    clusters
        .filter_map(|cluster| read_cluster(cluster, lease))
        .collect()
}

fn read_cluster(cluster: ClusterHealth, lease: Duration) -> Option<Health> {
    let count = usize::try_from(cluster.count).ok()?;
    if cluster.states.len() != count.div_ceil(4) {
        return None;
    }
    let state = |number: usize| match cluster.states[number / 4] >> (number % 4 * 2) & 3 {
        2 => EndpointHealth::Ejected,
        3 => EndpointHealth::Warming,
        _ => EndpointHealth::Healthy,
    };
    Some(Health {
        states: (0..count).map(state).collect(),
        cluster: cluster.cluster,
        revision: cluster.revision,
        lease,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(states: &'static [u8], count: u32) -> HealthFrame {
        HealthFrame {
            clusters: vec![ClusterHealth {
                cluster: "a".into(),
                revision: 7,
                states: states.into(),
                count,
            }],
            ..HealthFrame::default()
        }
    }

    #[test]
    fn states_are_two_bits_lowest_first() {
        use EndpointHealth::{Ejected, Healthy, Warming};
        let read = read(frame(&[0b11_10_01_00, 0b10], 5));
        assert_eq!(
            read[0].states,
            [Healthy, Healthy, Ejected, Warming, Ejected]
        );
        assert_eq!((read[0].revision, read[0].lease), (7, LEASE));
    }

    #[test]
    fn cluster_cut_short_is_left_out() {
        assert!(read(frame(&[0], 5)).is_empty());
        assert!(read(frame(&[0, 0], 4)).is_empty());
    }
}
