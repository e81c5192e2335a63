//! Definitions into service on real workers: what stays, what moves, what is refused.

use std::{
    future::Future,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
};

use prism_proto::model::{CacheType, ClusterSpec, Draft, EndpointDraft, Secret};
use tokio::runtime::{Builder, LocalOptions};

use super::*;
use crate::server::worker::{WorkerHandle, spawn_worker};

/// Two workers and the applier that feeds them; the threads end with it.
struct Stand {
    applier: Applier,
    _workers: Vec<std::thread::JoinHandle<()>>,
}

impl Stand {
    fn new() -> Self {
        let registry = Registry::new();
        let spawn = |index| spawn_worker(index, None, Arc::clone(&registry));
        let workers: Vec<WorkerHandle> =
            (0..2).map(|i| spawn(i).expect("a thread starts")).collect();
        let (mailboxes, threads) = workers.into_iter().map(|w| (w.mailbox, w.thread)).unzip();
        let applier = Applier {
            workers: mailboxes,
            service: Service::default(),
            bind_ip: None,
            sockets: Sockets::default(),
            registry,
        };
        Self {
            applier,
            _workers: threads,
        }
    }

    async fn apply(&mut self, definitions: &[Draft], removals: &[&str]) -> Vec<String> {
        let upserts = definitions
            .iter()
            .map(|draft| (draft.name.clone(), definition(draft)));
        let delta = Delta {
            upserts: upserts.collect(),
            removals: removals.iter().map(|name| (*name).to_owned()).collect(),
            patience: Duration::from_secs(1),
        };
        let rejected = self.applier.apply(delta).await;
        let line = |(name, why): (String, Violations)| format!("{name}.{why}");
        rejected.into_iter().map(line).collect()
    }

    fn runtime(&self, name: &str) -> Option<Arc<ClusterRuntime>> {
        self.applier
            .service
            .runtime
            .load()
            .clusters
            .get(name)
            .cloned()
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    runtime.expect("a runtime starts").block_on(test);
}

/// A pool of one endpoint that nobody asks: what is tested is answered by the proxy itself.
fn pool(name: &str, listen_addr: &str) -> Draft {
    Draft {
        name: name.to_owned(),
        listen_addr: listen_addr.to_owned(),
        cache_type: Some(CacheType::Redis),
        endpoints: vec![EndpointDraft {
            addr: "127.0.0.1:1".to_owned(),
            ..EndpointDraft::default()
        }],
        ..Draft::default()
    }
}

fn definition(draft: &Draft) -> Definition {
    let spec = ClusterSpec::new(draft.clone()).expect("the definition is right");
    Definition {
        revision: 0,
        hash: 0,
        cluster: Arc::new(spec.resolve()),
    }
}

fn free() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    socket.local_addr().expect("it is bound").to_string()
}

fn ask(mut stream: impl Read + Write, request: &str) -> String {
    stream
        .write_all(request.as_bytes())
        .expect("the proxy reads");
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).expect("the proxy answers");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

fn ping(addr: &str) -> Option<String> {
    let stream = TcpStream::connect(addr).ok()?;
    Some(ask(stream, "PING\r\n"))
}

const PONG: Option<&str> = Some("+PONG\r\n");

#[test]
fn what_is_equal_is_kept_and_the_rest_is_built() {
    run(async {
        let mut stand = Stand::new();
        let (a, b) = (pool("a", &free()), pool("b", &free()));
        assert!(stand.apply(&[a.clone(), b.clone()], &[]).await.is_empty());
        let (old_a, old_b) = (stand.runtime("a").unwrap(), stand.runtime("b").unwrap());
        let changed = Draft {
            max_pending: Some(7),
            ..b.clone()
        };
        assert!(stand.apply(&[a.clone(), changed], &[]).await.is_empty());
        let (new_a, new_b) = (stand.runtime("a").unwrap(), stand.runtime("b").unwrap());
        assert!(Arc::ptr_eq(&old_a, &new_a));
        assert_eq!(new_b.cluster.limits().max_pending, 7);
        assert!(
            Arc::ptr_eq(&old_b.shared, &new_b.shared),
            "sessions and topology stay"
        );
        assert_eq!(ping(&b.listen_addr).as_deref(), PONG);
    });
}

#[test]
fn moved_listener_opens_before_the_old_one_closes() {
    run(async {
        let mut stand = Stand::new();
        let (old, new) = (free(), free());
        stand.apply(&[pool("a", &old)], &[]).await;
        let client = TcpStream::connect(&old).expect("it listens");
        assert!(stand.apply(&[pool("a", &new)], &[]).await.is_empty());
        assert_eq!(ping(&new).as_deref(), PONG);
        assert_eq!(
            ask(client, "PING\r\n"),
            "+PONG\r\n",
            "sessions outlive their listener"
        );
        assert!(TcpStream::connect(&old).is_err());
    });
}

#[test]
fn port_in_use_rejects_that_cluster_alone_and_keeps_its_state() {
    run(async {
        let mut stand = Stand::new();
        let (old, taken) = (free(), TcpListener::bind("127.0.0.1:0").unwrap());
        let taken_addr = taken.local_addr().unwrap().to_string();
        stand.apply(&[pool("a", &old)], &[]).await;
        let other = free();
        let rejected = stand
            .apply(&[pool("a", &taken_addr), pool("b", &other)], &[])
            .await;
        assert_eq!(
            rejected,
            [format!(
                "a.listen_addr: {taken_addr} is in use by another process"
            )]
        );
        assert_eq!(ping(&old).as_deref(), PONG);
        assert_eq!(ping(&other).as_deref(), PONG);
    });
}

#[test]
fn clusters_swap_addresses() {
    run(async {
        let mut stand = Stand::new();
        let (one, two) = (free(), free());
        let auth = |draft| Draft {
            auth: Some(prism_proto::model::AuthDraft {
                password: Some(Secret::Plain("secret".to_owned())),
                users: Vec::new(),
            }),
            ..draft
        };
        stand
            .apply(&[pool("a", &one), auth(pool("b", &two))], &[])
            .await;
        assert_eq!(ping(&one).as_deref(), PONG);
        assert!(
            stand
                .apply(&[pool("a", &two), auth(pool("b", &one))], &[])
                .await
                .is_empty()
        );
        assert_eq!(ping(&two).as_deref(), PONG);
        assert!(ping(&one).unwrap().starts_with("-NOAUTH"));
    });
}

#[test]
fn renamed_cluster_keeps_its_port() {
    run(async {
        let mut stand = Stand::new();
        let addr = free();
        stand.apply(&[pool("a", &addr)], &[]).await;
        assert!(stand.apply(&[pool("b", &addr)], &["a"]).await.is_empty());
        assert_eq!(ping(&addr).as_deref(), PONG);
        assert!(stand.runtime("a").is_none());
    });
}

#[test]
fn removed_cluster_gives_its_port_back() {
    run(async {
        let mut stand = Stand::new();
        let addr = free();
        stand.apply(&[pool("a", &addr)], &[]).await;
        stand.apply(&[], &["a"]).await;
        assert!(TcpListener::bind(&addr).is_ok());
    });
}

#[test]
fn another_protocol_under_the_same_name_starts_anew() {
    run(async {
        let mut stand = Stand::new();
        let addr = free();
        stand.apply(&[pool("a", &addr)], &[]).await;
        let before = stand.runtime("a").unwrap();
        let memcache = Draft {
            cache_type: Some(CacheType::Memcache),
            ..pool("a", &addr)
        };
        assert!(stand.apply(&[memcache], &[]).await.is_empty());
        assert!(!Arc::ptr_eq(
            &before.shared,
            &stand.runtime("a").unwrap().shared
        ));
        let stream = TcpStream::connect(&addr).expect("it listens");
        assert!(ask(stream, "version\r\n").starts_with("VERSION"));
    });
}

#[test]
fn unix_socket_outlives_a_rename_and_goes_with_its_last_cluster() {
    run(async {
        let mut stand = Stand::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let addr = format!("unix:{}", path.display());
        stand.apply(&[pool("a", &addr)], &[]).await;
        assert!(stand.apply(&[pool("b", &addr)], &["a"]).await.is_empty());
        let stream = UnixStream::connect(&path).expect("it listens");
        assert_eq!(ask(stream, "PING\r\n"), "+PONG\r\n");
        stand.apply(&[], &["b"]).await;
        assert!(!path.exists());
    });
}

#[test]
fn secret_that_cannot_be_read_is_a_violation() {
    run(async {
        let mut stand = Stand::new();
        let addr = free();
        let secret = Draft {
            auth: Some(prism_proto::model::AuthDraft {
                password: Some(Secret::File("/nowhere".into())),
                users: Vec::new(),
            }),
            ..pool("a", &addr)
        };
        let rejected = stand.apply(&[secret], &[]).await;
        assert_eq!(rejected, ["a.auth.password: cannot read /nowhere"]);
        assert!(TcpListener::bind(&addr).is_ok());
    });
}

#[test]
fn bind_ip_replaces_the_host_of_every_address() {
    run(async {
        let mut stand = Stand::new();
        stand.applier.bind_ip = Some([127, 0, 0, 2].into());
        let port = free().rsplit_once(':').expect("it has a port").1.to_owned();
        stand
            .apply(&[pool("a", &format!("127.0.0.1:{port}"))], &[])
            .await;
        assert_eq!(ping(&format!("127.0.0.2:{port}")).as_deref(), PONG);
        assert!(TcpStream::connect(format!("127.0.0.1:{port}")).is_err());
    });
}
