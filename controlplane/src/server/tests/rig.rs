//! A control plane on loopback and data planes that speak through real streams.

use std::{collections::BTreeMap, time::Duration};

use prism_proto::{
    convert::draft_to_pb,
    model::{CacheType, Draft, EndpointDraft},
    pb::{
        admin::v1::{
            ApplyRequest, ApplyResponse, ClusterWrite, Dataplane, ListDataplanesRequest, SyncState,
            fleet_service_client::FleetServiceClient,
        },
        config::v1::ClusterSpec,
        discovery::v1::{
            Ack, ClientHeartbeat, Hello, Nack, Push, ResourceVersion, Resume, SyncRequest,
            SyncResponse, Violation, discovery_service_client::DiscoveryServiceClient,
            sync_request, sync_response::Kind,
        },
    },
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use crate::server::{Options, Server, StoreKind};

/// Nothing in these tests takes longer.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) fn options() -> Options {
    Options {
        listen: "127.0.0.1:0".into(),
        discovery_listen: "127.0.0.1:0".into(),
        store: StoreKind::Memory,
        heartbeat: Duration::from_millis(300),
        ..Options::default()
    }
}

pub(super) async fn start() -> Server {
    Server::start(options()).await.expect("starts")
}

pub(super) async fn admin(server: &Server) -> FleetServiceClient<Channel> {
    let url = format!("http://{}", server.admin());
    FleetServiceClient::connect(url).await.expect("connects")
}

pub(super) fn spec(name: &str, port: u16) -> ClusterSpec {
    let endpoint = EndpointDraft {
        addr: "127.0.0.1:6379".into(),
        ..EndpointDraft::default()
    };
    draft_to_pb(&Draft {
        name: name.into(),
        listen_addr: format!("127.0.0.1:{port}"),
        cache_type: Some(CacheType::Redis),
        endpoints: vec![endpoint],
        ..Draft::default()
    })
}

pub(super) fn write(spec: ClusterSpec) -> ClusterWrite {
    ClusterWrite {
        spec: Some(spec),
        ..ClusterWrite::default()
    }
}

pub(super) async fn apply(server: &Server, specs: Vec<ClusterSpec>) -> ApplyResponse {
    let request = ApplyRequest {
        clusters: specs.into_iter().map(write).collect(),
        ..ApplyRequest::default()
    };
    let answer = admin(server).await.apply(request).await;
    answer.expect("applied").into_inner()
}

pub(super) async fn dataplanes(server: &Server) -> Vec<Dataplane> {
    let answer = admin(server)
        .await
        .list_dataplanes(ListDataplanesRequest {})
        .await;
    answer.expect("listed").into_inner().dataplanes
}

/// Waits until the data plane `id` is shown in `state`.
pub(super) async fn until_state(server: &Server, id: &str, state: SyncState) -> Dataplane {
    let mut changes = server.context().fleet.watch();
    let wait = async {
        loop {
            let all = dataplanes(server).await;
            if let Some(found) = all
                .into_iter()
                .find(|one| one.id == id && one.state() == state)
            {
                return found;
            }
            // Some states come by time alone.
            let _ = timeout(Duration::from_millis(50), changes.changed()).await;
        }
    };
    timeout(LIMIT, wait)
        .await
        .unwrap_or_else(|_| unreachable!("{id} never was {state:?}"))
}

/// A data plane that does as it is told.
pub(super) struct Wire {
    sender: mpsc::Sender<SyncRequest>,
    inbound: Streaming<SyncResponse>,
    pub(super) held: BTreeMap<(String, String), ResourceVersion>,
    pub(super) refuses: Option<&'static str>,
}

impl Wire {
    /// Opens a stream and says Hello.
    pub(super) async fn open(server: &Server, hello: Hello) -> Self {
        let url = format!("http://{}", server.discovery());
        let mut client = DiscoveryServiceClient::connect(url)
            .await
            .expect("connects");
        let (sender, receiver) = mpsc::channel(64);
        let this = sync_request::Kind::Hello(hello);
        sender
            .send(SyncRequest { kind: Some(this) })
            .await
            .expect("room");
        let answer = client.sync(ReceiverStream::new(receiver)).await;
        Self {
            sender,
            inbound: answer.expect("a stream").into_inner(),
            held: BTreeMap::new(),
            refuses: None,
        }
    }

    /// Opens a stream as data plane `id` that holds nothing.
    pub(super) async fn join(server: &Server, id: &str) -> Self {
        let wire = Self::open(server, hello(id)).await;
        wire.send(sync_request::Kind::Resume(Resume::default()))
            .await;
        wire
    }

    pub(super) async fn send(&self, kind: sync_request::Kind) {
        // A stream that was ended takes nothing more.
        let _ = self.sender.send(SyncRequest { kind: Some(kind) }).await;
    }

    pub(super) async fn beat(&self) {
        let digest = self.digest();
        let heartbeat = ClientHeartbeat {
            digest,
            draining: false,
        };
        self.send(sync_request::Kind::Heartbeat(heartbeat)).await;
    }

    /// Returns the next message; heartbeats of the control plane are answered and left out.
    pub(super) async fn next(&mut self) -> Result<Option<Kind>, Status> {
        loop {
            let message = timeout(LIMIT, self.inbound.message()).await;
            match message
                .unwrap_or_else(|_| unreachable!("silence"))?
                .map(|m| m.kind)
            {
                Some(Some(Kind::Heartbeat(_))) => self.beat().await,
                Some(kind) => return Ok(kind),
                None => return Ok(None),
            }
        }
    }

    /// Waits for a heartbeat and returns the digest in it.
    pub(super) async fn desired_digest(&mut self) -> u64 {
        loop {
            let message = self.inbound.message().await.expect("live").expect("open");
            if let Some(Kind::Heartbeat(heartbeat)) = message.kind {
                return heartbeat.desired_digest;
            }
        }
    }

    /// Takes a push in service and acks it.
    pub(super) async fn take(&mut self, push: Push) {
        let mut nacks = Vec::new();
        for resource in push.upserts {
            let version = ResourceVersion {
                kind: resource.kind.clone(),
                name: resource.name.clone(),
                revision: resource.revision,
                hash: resource.hash,
            };
            if self.refuses == Some(resource.name.as_str()) {
                nacks.push(nack(version));
            } else {
                self.held.insert((resource.kind, resource.name), version);
            }
        }
        for removal in push.removals {
            self.held.remove(&(removal.kind, removal.name));
        }
        if !push.last {
            return;
        }
        let ack = Ack {
            lane: push.lane,
            nonce: push.nonce,
            epoch: push.epoch,
            revision: push.revision,
            digest: self.digest(),
            nacks,
            ..Ack::default()
        };
        self.send(sync_request::Kind::Ack(ack)).await;
    }

    /// Follows pushes until the clusters held are `names`; returns how many pushes it took.
    pub(super) async fn follow_to(&mut self, names: &[&str]) -> usize {
        let mut pushes = 0;
        while self.names() != names {
            match self
                .next()
                .await
                .expect("a live stream")
                .expect("an open stream")
            {
                Kind::Push(push) => {
                    pushes += 1;
                    self.take(push).await;
                }
                _ => continue,
            }
        }
        pushes
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.held.keys().map(|(_, name)| name.as_str()).collect()
    }

    pub(super) fn digest(&self) -> u64 {
        self.held
            .values()
            .fold(0, |digest, held| digest ^ held.hash)
    }

    pub(super) fn resume(&self, epoch: u64, revision: u64) -> Resume {
        Resume {
            epoch,
            revision,
            digest: self.digest(),
            resources: self.held.values().cloned().collect(),
            from_snapshot: false,
        }
    }
}

pub(super) fn hello(id: &str) -> Hello {
    Hello {
        id: id.into(),
        instance: format!("{id}-run"),
        build: "test".into(),
        ..Hello::default()
    }
}

fn nack(version: ResourceVersion) -> Nack {
    Nack {
        kind: version.kind,
        name: version.name,
        revision: version.revision,
        hash: version.hash,
        violations: vec![Violation {
            field: "listen_addr".into(),
            description: "port 9001 is in use".into(),
        }],
    }
}
