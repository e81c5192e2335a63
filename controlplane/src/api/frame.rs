//! Packs verdicts into the health frame of one data plane.

use std::{sync::Arc, time::Duration};

use prism_proto::pb::discovery::v1::{ClusterHealth, EndpointHealth, HealthFrame};

use crate::health::{ClusterVerdict, Verdicts};

/// Makes the frame of a data plane that serves `clusters`; clusters without a verdict are left out.
pub(super) fn frame<'a>(
    sequence: u64,
    verdicts: &Verdicts,
    clusters: impl Iterator<Item = &'a Arc<str>>,
    lease: Duration,
) -> HealthFrame {
    let health = |name: &Arc<str>| Some(pack(name, verdicts.clusters.get(&**name)?));
    HealthFrame {
        sequence,
        clusters: clusters.filter_map(health).collect(),
        lease: lease.try_into().ok(),
    }
}

fn pack(name: &str, verdict: &ClusterVerdict) -> ClusterHealth {
    let quad = |states: &[EndpointHealth]| {
        let shifted = states.iter().zip([0, 2, 4, 6]);
        shifted.fold(0, |byte, (state, shift)| byte | bits(*state) << shift)
    };
    let states: Vec<u8> = verdict.states.chunks(4).map(quad).collect();
    ClusterHealth {
        cluster: name.into(),
        revision: verdict.revision,
        states: states.into(),
        count: u32::try_from(verdict.states.len()).unwrap_or(u32::MAX),
    }
}

fn bits(state: EndpointHealth) -> u8 {
    match state {
        EndpointHealth::Unspecified => 0,
        EndpointHealth::Healthy => 1,
        EndpointHealth::Ejected => 2,
        EndpointHealth::Warming => 3,
    }
}

#[cfg(test)]
mod tests {
    use EndpointHealth::{Ejected, Healthy, Unspecified, Warming};

    use super::*;

    #[test]
    fn four_endpoints_share_a_byte_lowest_bits_first() {
        let verdict = ClusterVerdict {
            revision: 9,
            states: vec![Healthy, Ejected, Warming, Unspecified, Ejected],
            endpoints: vec![],
        };
        let packed = pack("a", &verdict);
        assert_eq!(&packed.states[..], [0b00_11_10_01, 0b10]);
        assert_eq!((packed.count, packed.revision), (5, 9));
    }

    #[test]
    fn frame_holds_only_what_the_data_plane_serves() {
        let mut verdicts = Verdicts::default();
        for name in ["a", "b"] {
            verdicts
                .clusters
                .insert(name.into(), ClusterVerdict::default());
        }
        let serves: [Arc<str>; 2] = ["b".into(), "c".into()];
        let frame = frame(3, &verdicts, serves.iter(), Duration::from_secs(30));
        let names: Vec<_> = frame
            .clusters
            .iter()
            .map(|health| health.cluster.as_str())
            .collect();
        assert_eq!((names, frame.sequence), (vec!["b"], 3));
        assert_eq!(frame.lease.map(|lease| lease.seconds), Some(30));
    }
}
