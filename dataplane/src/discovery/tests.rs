//! The stream's state machine: what is taken over, what is refused, what is said back.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use prism_proto::{
    convert,
    model::{CacheType, ClusterSpec, Draft, EndpointDraft, Peer, Violations, resource_hash},
    pb::{
        config::v1::ShardNodes,
        discovery::v1::{
            Ack, Lane, Push, Resource, ResourceVersion, ServerHeartbeat, SlotDelta, SyncRequest,
            SyncResponse, Welcome, sync_request, sync_response,
        },
    },
    placement::{self, SlotMap, SlotRange},
};
use tokio::time::Instant;

use super::{
    last_good::{Pair, PoisonGuard},
    *,
};

/// A pushed definition of a pool with this many endpoints.
pub(super) fn pool(name: &str, revision: u64, endpoints: u16) -> Resource {
    let endpoint = |number| EndpointDraft {
        addr: format!("127.0.0.1:{}", 7000 + number),
        ..EndpointDraft::default()
    };
    let spec = ClusterSpec::new(Draft {
        name: name.to_owned(),
        listen_addr: format!("127.0.0.1:{}", 9000 + revision),
        cache_type: Some(CacheType::Redis),
        endpoints: (0..endpoints).map(endpoint).collect(),
        ..Draft::default()
    });
    let body = convert::encode_resolved(&spec.expect("the definition is right"));
    resource(CLUSTERS, name, revision, body)
}

fn resource(kind: &str, name: &str, revision: u64, body: bytes::Bytes) -> Resource {
    Resource {
        kind: kind.to_owned(),
        name: name.to_owned(),
        revision,
        hash: resource_hash(kind, name, &body),
        body,
        confirm_shrink_from: 0,
    }
}

/// A slot map that gives all slots from `first` on to one shard.
fn map(sequence: u64, first: u32) -> SlotMap {
    let shards = vec![placement::ShardNodes {
        primary: "127.0.0.1:7000".into(),
        replicas: Vec::new(),
        primary_id: "a".into(),
    }];
    let range = SlotRange {
        start: first,
        length: 16_384 - first,
        shard: Some(0),
    };
    SlotMap::new(sequence, shards, [range]).expect("the range fits")
}

fn slots(name: &str, map: &SlotMap) -> Resource {
    resource(
        SLOT_MAPS,
        name,
        map.sequence(),
        convert::encode_slot_map(name, map),
    )
}

struct Stream {
    follower: Follower,
    poison: Rc<RefCell<PoisonGuard>>,
    nonce: u64,
}

impl Stream {
    /// A stream that was welcomed by the fleet `f`.
    fn welcomed() -> Self {
        let mut stream = Self::opened(None);
        stream.welcome(false);
        stream
    }

    fn opened(held: Option<Held>) -> Self {
        let poison = Rc::new(RefCell::new(PoisonGuard::default()));
        let identity = Identity {
            id: "dp-1".into(),
            instance: "i".into(),
            zone: String::new(),
            labels: BTreeMap::new(),
            advertise: String::new(),
            bind_ip: String::new(),
        };
        let mut follower = Follower::new(identity, held, Rc::clone(&poison));
        follower.open();
        Self {
            follower,
            poison,
            nonce: 0,
        }
    }

    fn welcome(&mut self, foreign_fleet: bool) {
        self.welcome_with(foreign_fleet, &[PEERS]);
    }

    fn welcome_with(&mut self, foreign_fleet: bool, features: &[&str]) {
        let welcome = Welcome {
            fleet_id: "f".into(),
            foreign_fleet,
            features: features.iter().map(ToString::to_string).collect(),
            ..Welcome::default()
        };
        self.receive(sync_response::Kind::Welcome(welcome))
            .expect("a welcome comes first");
    }

    fn receive(&mut self, kind: sync_response::Kind) -> Result<Effect, StreamError> {
        self.follower.receive(SyncResponse { kind: Some(kind) })
    }

    fn push(&mut self, mut push: Push) -> Result<Effect, StreamError> {
        self.nonce += 1;
        push.nonce = self.nonce;
        push.last = true;
        push.epoch = push.epoch.max(1);
        push.revision = self.nonce;
        self.receive(sync_response::Kind::Push(push))
    }

    /// Pushes, rejects what `rejected` says, and returns the ack.
    fn apply(&mut self, push: Push, rejected: &[&str]) -> Ack {
        let Ok(Effect::Apply(change)) = self.push(push) else {
            unreachable!("a whole push is applied");
        };
        let reject = |name: &&str| (name.to_string(), Violations::one("listen_addr", "in use"));
        let outcome = Outcome {
            rejected: rejected.iter().map(reject).collect(),
            ..Outcome::default()
        };
        match self.follower.settle(change, outcome) {
            SyncRequest {
                kind: Some(sync_request::Kind::Ack(ack)),
            } => ack,
            other => unreachable!("a change is answered by an ack: {other:?}"),
        }
    }

    fn fields(ack: &Ack) -> Vec<&str> {
        let violations = ack.nacks.iter().flat_map(|nack| &nack.violations);
        violations
            .map(|violation| violation.field.as_str())
            .collect()
    }
}

fn config(upserts: Vec<Resource>) -> Push {
    Push {
        lane: Lane::Config.into(),
        upserts,
        ..Push::default()
    }
}

fn slot_maps(upserts: Vec<Resource>) -> Push {
    Push {
        lane: Lane::SlotMaps.into(),
        upserts,
        ..Push::default()
    }
}

#[test]
fn pushed_resources_are_held_and_acked_with_their_digest() {
    let mut stream = Stream::welcomed();
    let (a, b) = (pool("a", 1, 2), pool("b", 2, 2));
    let ack = stream.apply(config(vec![a.clone(), b.clone()]), &[]);
    assert!(ack.nacks.is_empty());
    assert_eq!(ack.digest, a.hash ^ b.hash);
    assert_eq!((ack.nonce, ack.epoch, ack.revision), (1, 1, 1));
    let held = stream.follower.held();
    assert_eq!(held.clusters.len(), 2);
    assert_eq!(
        (held.fleet_id.as_str(), held.epoch, held.revision),
        ("f", 1, 1)
    );
}

#[test]
fn rejected_resource_keeps_its_previous_state_and_others_apply() {
    let mut stream = Stream::welcomed();
    let first = pool("a", 1, 2);
    stream.apply(config(vec![first.clone()]), &[]);
    let (second, other) = (pool("a", 2, 3), pool("b", 3, 1));
    let ack = stream.apply(config(vec![second.clone(), other.clone()]), &["a"]);
    assert_eq!(Stream::fields(&ack), ["listen_addr"]);
    assert_eq!((ack.nacks[0].revision, ack.nacks[0].hash), (2, second.hash));
    assert_eq!(ack.digest, first.hash ^ other.hash);
    assert_eq!(stream.follower.held().clusters["a"].revision, 1);
}

#[test]
fn wrong_resources_are_refused_one_by_one() {
    let good = pool("a", 1, 1);
    let torn = Resource {
        hash: good.hash ^ 1,
        name: "b".into(),
        ..good.clone()
    };
    let renamed = resource(CLUSTERS, "c", 1, good.body.clone());
    let unknown = resource("windows", "d", 1, good.body.clone());
    let garbled = resource(CLUSTERS, "e", 1, b"\xff\xff".as_slice().into());
    let mut stream = Stream::welcomed();
    let push = config(vec![torn, renamed, unknown, good, garbled]);
    let ack = stream.apply(push, &[]);
    assert_eq!(Stream::fields(&ack), ["hash", "name", "kind", ""]);
    let names: Vec<_> = stream.follower.held().clusters.keys().collect();
    assert_eq!(names, ["a"]);
}

#[test]
fn definition_that_leaves_something_to_a_default_is_refused() {
    let draft = Draft {
        name: "a".into(),
        listen_addr: "127.0.0.1:9000".into(),
        cache_type: Some(CacheType::Redis),
        endpoints: vec![EndpointDraft {
            addr: "127.0.0.1:7000".into(),
            ..EndpointDraft::default()
        }],
        ..Draft::default()
    };
    let spec = ClusterSpec::new(draft).expect("the definition is right");
    let unresolved = resource(CLUSTERS, "a", 1, convert::encode_spec(&spec));
    let ack = Stream::welcomed().apply(config(vec![unresolved]), &[]);
    assert!(Stream::fields(&ack).contains(&"read_timeout"), "{ack:?}");
}

#[test]
fn dropping_over_half_of_the_endpoints_needs_a_confirmation_of_the_held_revision() {
    for (before, after, confirmed, accepted) in [
        (4, 2, 0, true),
        (4, 1, 0, false),
        (4, 1, 1, true),
        (4, 1, 9, false),
        (3, 1, 0, false),
        (2, 1, 0, true),
        (1, 1, 0, true),
    ] {
        let mut stream = Stream::welcomed();
        stream.apply(config(vec![pool("a", 1, before)]), &[]);
        let mut smaller = pool("a", 2, after);
        smaller.confirm_shrink_from = confirmed;
        let ack = stream.apply(config(vec![smaller]), &[]);
        let fields: &[&str] = if accepted { &[] } else { &["endpoints"] };
        assert_eq!(
            Stream::fields(&ack),
            fields,
            "{before} -> {after}, {confirmed}"
        );
    }
}

#[test]
fn slots_that_lose_all_owners_need_a_confirmation() {
    let mut stream = Stream::welcomed();
    stream.apply(slot_maps(vec![slots("a", &map(1, 0))]), &[]);
    let mut partial = slots("a", &map(2, 100));
    let ack = stream.apply(slot_maps(vec![partial.clone()]), &[]);
    assert_eq!(Stream::fields(&ack), ["ranges"]);
    partial.confirm_shrink_from = 1;
    let ack = stream.apply(slot_maps(vec![partial]), &[]);
    assert!(ack.nacks.is_empty(), "{ack:?}");
}

#[test]
fn removals_and_full_pushes_take_clusters_out() {
    let mut stream = Stream::welcomed();
    let all = vec![pool("a", 1, 1), pool("b", 2, 1), pool("c", 3, 1)];
    stream.apply(config(all), &[]);
    let removal = Push {
        removals: vec![ResourceVersion {
            kind: CLUSTERS.into(),
            name: "a".into(),
            ..ResourceVersion::default()
        }],
        ..config(Vec::new())
    };
    stream.apply(removal, &[]);
    let names = |stream: &Stream| {
        stream
            .follower
            .held()
            .clusters
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&stream), ["b", "c"]);
    stream.apply(slot_maps(vec![slots("c", &map(1, 0))]), &[]);
    let full = Push {
        full: true,
        ..config(vec![pool("c", 3, 1)])
    };
    stream.apply(full, &[]);
    assert_eq!(names(&stream), ["c"]);
    assert_eq!(
        stream.follower.held().slot_maps.len(),
        1,
        "the other lane stays"
    );
}

#[test]
fn slot_delta_changes_the_map_it_names() {
    let mut stream = Stream::welcomed();
    let base = map(1, 0);
    let held = slots("a", &base);
    stream.apply(slot_maps(vec![held.clone()]), &[]);
    let added = placement::ShardNodes {
        primary: "127.0.0.1:7001".into(),
        replicas: Vec::new(),
        primary_id: "b".into(),
    };
    let range = SlotRange {
        start: 5,
        length: 3,
        shard: Some(1),
    };
    let target = base
        .with_changes(2, [added], [range])
        .expect("the range fits");
    let whole = slots("a", &target);
    let delta = SlotDelta {
        base_hash: held.hash,
        revision: 2,
        hash: whole.hash,
        ..convert::slot_delta_to_pb("a", &base, &target).expect("owners line up")
    };
    let push = |delta: SlotDelta| Push {
        slot_deltas: vec![delta],
        ..slot_maps(Vec::new())
    };
    let other_base = SlotDelta {
        base_hash: 1,
        ..delta.clone()
    };
    assert_eq!(
        Stream::fields(&stream.apply(push(other_base), &[])),
        ["base_hash"]
    );
    let other_result = SlotDelta {
        shards_added: vec![ShardNodes {
            primary: "127.0.0.1:7009".into(),
            ..ShardNodes::default()
        }],
        ..delta.clone()
    };
    assert_eq!(
        Stream::fields(&stream.apply(push(other_result), &[])),
        ["hash"]
    );
    let ack = stream.apply(push(delta), &[]);
    assert!(ack.nacks.is_empty(), "{ack:?}");
    assert_eq!(ack.digest, whole.hash);
    assert_eq!(
        stream.follower.held().slot_maps["a"].value.owner(6),
        Some(1)
    );
}

#[test]
fn chunks_are_put_together_and_an_abandoned_push_is_forgotten() {
    let mut stream = Stream::welcomed();
    let chunk = |nonce, name, last| Push {
        nonce,
        epoch: 1,
        revision: 1,
        last,
        ..config(vec![pool(name, 1, 1)])
    };
    for (nonce, name) in [(1, "a"), (2, "b")] {
        let effect = stream.receive(sync_response::Kind::Push(chunk(nonce, name, false)));
        assert!(matches!(effect, Ok(Effect::None)), "{effect:?}");
    }
    let effect = stream.receive(sync_response::Kind::Push(chunk(2, "c", true)));
    let Ok(Effect::Apply(change)) = effect else {
        unreachable!("the last chunk completes the push: {effect:?}");
    };
    assert_eq!(change.clusters.keys().collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn chunks_are_bounded() {
    let mut stream = Stream::welcomed();
    let big = Resource {
        body: vec![0; 16 << 20].into(),
        ..Resource::default()
    };
    let chunk = || Push {
        nonce: 1,
        epoch: 1,
        ..config(vec![big.clone()])
    };
    let results: Vec<_> = (0..5)
        .map(|_| stream.receive(sync_response::Kind::Push(chunk())))
        .collect();
    assert!(
        matches!(results[4], Err(StreamError::PushTooLarge { .. })),
        "{:?}",
        results[4]
    );
}

#[test]
fn second_push_of_a_lane_before_the_ack_ends_the_stream() {
    let mut stream = Stream::welcomed();
    assert!(stream.push(config(vec![pool("a", 1, 1)])).is_ok());
    assert!(
        stream.push(slot_maps(Vec::new())).is_ok(),
        "the other lane is free"
    );
    let second = stream.push(config(vec![pool("b", 1, 1)]));
    assert!(
        matches!(second, Err(StreamError::Impatient { .. })),
        "{second:?}"
    );
}

#[test]
fn push_of_an_older_epoch_ends_the_stream() {
    let held = Held {
        epoch: 3,
        fleet_id: "f".into(),
        ..Held::default()
    };
    let mut stream = Stream::opened(Some(held));
    stream.welcome(false);
    let pushed = stream.push(Push {
        epoch: 2,
        ..config(Vec::new())
    });
    assert!(matches!(
        pushed,
        Err(StreamError::GoesBack { pushed: 2, held: 3 })
    ));
}

#[test]
fn foreign_fleet_changes_nothing() {
    let held = Held {
        fleet_id: "ours".into(),
        ..Held::default()
    };
    let mut stream = Stream::opened(Some(held));
    stream.welcome(true);
    let pushed = stream.push(config(vec![pool("a", 1, 1)]));
    assert!(matches!(pushed, Ok(Effect::Unknown)), "{pushed:?}");
    assert_eq!(stream.follower.held().fleet_id, "ours");
    assert!(!stream.follower.is_synced());
}

#[test]
fn nothing_is_taken_before_the_welcome() {
    let mut stream = Stream::opened(None);
    let pushed = stream.push(config(Vec::new()));
    assert!(matches!(pushed, Err(StreamError::NotWelcomed)));
}

#[test]
fn heartbeat_tells_whether_everything_is_in_service() {
    let mut stream = Stream::welcomed();
    let beat = |desired_digest| {
        sync_response::Kind::Heartbeat(ServerHeartbeat {
            desired_digest,
            ..ServerHeartbeat::default()
        })
    };
    assert!(!stream.follower.is_synced());
    stream
        .receive(beat(0))
        .expect("a heartbeat is always welcome");
    assert!(stream.follower.is_synced());
    stream
        .receive(beat(5))
        .expect("a heartbeat is always welcome");
    assert!(!stream.follower.is_synced());
}

#[test]
fn quarantined_resource_is_refused_until_it_changes() {
    let mut stream = Stream::welcomed();
    let bad = pool("a", 1, 1);
    let pair = Pair::new(CLUSTERS, "a", bad.hash);
    stream.poison.borrow_mut().quarantine(pair.clone());
    let ack = stream.apply(config(vec![bad]), &[]);
    assert_eq!(ack.nacks.len(), 1);
    let changed = pool("a", 2, 1);
    stream
        .poison
        .borrow_mut()
        .release_changed(&Pair::new(CLUSTERS, "a", changed.hash));
    assert!(!stream.poison.borrow().is_quarantined(&pair));
    assert!(stream.apply(config(vec![changed]), &[]).nacks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn suspects_are_cleared_after_a_minute_of_service() {
    let mut guard = PoisonGuard::default();
    guard.arm([Pair::new(CLUSTERS, "a", 1)], Instant::now());
    assert!(!guard.clear_served(Instant::now()));
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    assert!(guard.clear_served(Instant::now()));
    assert_eq!(guard.deadline(), None);
}

fn peers(name: &str, stamp: u64, ids: &[&str]) -> Resource {
    let peer = |id: &&str| Peer {
        id: id.to_string(),
        host: "10.0.0.1".into(),
        port: 9001,
    };
    let list: Vec<_> = ids.iter().map(peer).collect();
    resource(PEERS, name, stamp, convert::encode_peers(name, &list))
}

fn peer_lists(upserts: Vec<Resource>) -> Push {
    Push {
        lane: Lane::Peers.into(),
        upserts,
        ..Push::default()
    }
}

#[test]
fn list_of_data_planes_is_held_but_never_on_disk() {
    let mut stream = Stream::welcomed();
    let cluster = pool("a", 1, 1);
    stream.apply(config(vec![cluster.clone()]), &[]);
    let list = peers("a", 7, &["dp-1", "dp-2"]);
    let ack = stream.apply(peer_lists(vec![list.clone()]), &[]);
    assert_eq!(ack.digest, cluster.hash ^ list.hash);
    let held = stream.follower.held();
    assert_eq!(held.peers["a"].value.len(), 2);
    let kinds: Vec<_> = held
        .resume(false)
        .resources
        .into_iter()
        .map(|r| r.kind)
        .collect();
    assert_eq!(kinds, [CLUSTERS, PEERS]);
    assert_eq!(held.snapshot().resources.len(), 1);
    assert_eq!(held.kept_digest(), cluster.hash);
    let mut gone = peer_lists(Vec::new());
    gone.removals = vec![ResourceVersion {
        kind: PEERS.into(),
        name: "a".into(),
        ..ResourceVersion::default()
    }];
    assert_eq!(stream.apply(gone, &[]).digest, cluster.hash);
}

#[test]
fn wrong_list_of_data_planes_is_refused() {
    let mut stream = Stream::welcomed();
    let twice = peers("a", 7, &["dp-1", "dp-1"]);
    let ack = stream.apply(peer_lists(vec![twice]), &[]);
    assert_eq!(Stream::fields(&ack), ["peers[1].id"]);
    let mut other = peers("b", 7, &["dp-1"]);
    other.name = "a".into();
    other.hash = resource_hash(PEERS, "a", &other.body);
    let ack = stream.apply(peer_lists(vec![other]), &[]);
    assert_eq!(Stream::fields(&ack), ["cluster"]);
    let ack = stream.apply(config(vec![peers("a", 7, &[])]), &[]);
    assert_eq!(Stream::fields(&ack), ["kind"]);
    assert!(stream.follower.held().peers.is_empty());
}

#[test]
fn list_does_not_count_as_held_before_an_older_control_plane() {
    let mut stream = Stream::welcomed();
    stream.apply(peer_lists(vec![peers("a", 7, &["dp-1"])]), &[]);
    stream.follower.open();
    stream.welcome_with(true, &[]);
    assert_eq!(stream.follower.held().peers.len(), 1, "of another fleet");
    stream.follower.open();
    stream.welcome_with(false, &["slot_deltas"]);
    assert!(stream.follower.held().peers.is_empty());
}
