//! The data planes that serve one cluster, as its clients are told of them in the place of its endpoints.

use std::sync::Arc;

use prism_proto::model::Peer;

/// Which data planes serve a cluster; immutable, swapped as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// This data plane.
    pub own: Arc<Own>,
    /// The list as the control plane told it last, by name; empty when it never did. It may lack this data plane.
    pub listed: Arc<Vec<Peer>>,
    /// This data plane is about to end: its clients are to go to the others.
    pub is_leaving: bool,
}

/// What this data plane says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Its name in the fleet.
    pub id: String,
    /// Where its clients reach it, when that is not the address they are connected to.
    pub advertise: Option<String>,
}

impl Peers {
    /// Returns all data planes by name; `me` tells of this one.
    pub fn all(&self, me: Peer) -> Vec<Peer> {
        let others = self.listed.iter().filter(|peer| peer.id != me.id);
        let mut all: Vec<_> = others.cloned().collect();
        // Nobody else: whoever is still here is served here.
        if !self.is_leaving || all.is_empty() {
            let place = all.partition_point(|peer| peer.id < me.id);
            all.insert(place, me);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u16) -> Peer {
        Peer {
            id: format!("dp-{number}"),
            host: format!("10.0.0.{number}"),
            port: 9001,
        }
    }

    fn peers(numbers: &[u16], is_leaving: bool) -> Peers {
        Peers {
            listed: Arc::new(numbers.iter().map(|&number| peer(number)).collect()),
            is_leaving,
            ..Peers::default()
        }
    }

    #[test]
    fn data_plane_is_in_its_own_answer_as_it_sees_itself() {
        let me = Peer {
            host: "proxy".into(),
            ..peer(2)
        };
        assert_eq!(peers(&[], false).all(me.clone()), vec![me.clone()]);
        for listed in [&[1, 3][..], &[1, 2, 3]] {
            let all = peers(listed, false).all(me.clone());
            assert_eq!(all, [peer(1), me.clone(), peer(3)]);
        }
    }

    #[test]
    fn leaving_data_plane_names_the_others_unless_there_are_none() {
        assert_eq!(peers(&[1, 2], true).all(peer(2)), [peer(1)]);
        assert_eq!(peers(&[2], true).all(peer(2)), [peer(2)]);
        assert_eq!(peers(&[], true).all(peer(2)), [peer(2)]);
    }
}
