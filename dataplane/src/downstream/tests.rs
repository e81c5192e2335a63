//! Sessions from end to end in one process, against endpoints whose every word is written in the test.

use std::{rc::Rc, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use prism_proto::model::{
    BackendAuthDraft, CacheType, Cluster, ClusterSpec, Draft, EndpointDraft, Secret,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::LocalSet,
    time::{Instant, timeout},
};

use super::{Session, session::Seat};
use crate::{
    cluster::{
        ClusterRuntime, ClusterShared, ClusterWorker, EndpointHealth, NO_OWNER, Observation,
        Topology, TopologyEndpoint,
    },
    metrics::Registry,
    upstream::{Stream, WorkerContext},
};

/// Longest time that anything here may take.
const PATIENCE: Duration = Duration::from_secs(10);

const SLOTS: usize = 16_384;

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("bound").port()
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let accepted = timeout(PATIENCE, listener.accept()).await;
    accepted.expect("somebody connects").expect("accepted").0
}

async fn expect(stream: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut bytes)).await;
    read.unwrap_or_else(|_| panic_with(&format!("nothing came instead of {text:?}")))
        .unwrap_or_else(|error| panic_with(&format!("{error} instead of {text:?}")));
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

fn panic_with(text: &str) -> ! {
    panic!("{text}")
}

async fn line(stream: &mut TcpStream) -> String {
    let read = async {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await.expect("a byte"));
        }
        String::from_utf8(line).expect("text")
    };
    timeout(PATIENCE, read).await.expect("a line")
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("written");
}

fn command(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    text
}

/// One worker's side of one cluster, and what it tells the control thread.
struct Proxy {
    worker: Rc<ClusterWorker>,
    shared: Arc<ClusterShared>,
    seen: mpsc::Receiver<Observation>,
    door: TcpListener,
}

impl Proxy {
    async fn start(
        cache_type: CacheType,
        endpoints: &[u16],
        change: impl FnOnce(&mut Draft),
    ) -> Self {
        let cluster = definition(cache_type, endpoints, change);
        let (observations, seen) = mpsc::channel(1024);
        let topology = match cache_type {
            CacheType::RedisCluster => owned_by(1, endpoints, 0),
            CacheType::Redis | CacheType::Memcache => Topology::pool(1, &cluster, &[]),
        };
        let shared = Arc::new(ClusterShared {
            exchange: Default::default(),
            name: cluster.name().to_owned(),
            topology: Arc::new(ArcSwap::from_pointee(topology)),
            clients: Default::default(),
            blocked: Default::default(),
            peers: ArcSwap::default(),
            observations,
        });
        let runtime = ClusterRuntime::new(Arc::new(cluster), 0, 0, Arc::clone(&shared));
        let registry = Registry::new();
        let context = Rc::new(WorkerContext::new(0, registry));
        Self {
            worker: ClusterWorker::start(context, Arc::new(runtime.expect("no secrets"))),
            shared,
            seen,
            door: listener().await,
        }
    }

    async fn client(&self) -> TcpStream {
        let connecting = TcpStream::connect(("127.0.0.1", port(&self.door)));
        let (client, stream) = tokio::join!(connecting, accept(&self.door));
        let seat = Seat::take(&self.shared, None).expect("no limit");
        let session = Session::new(Stream::Tcp(stream), Rc::clone(&self.worker), seat);
        tokio::task::spawn_local(session);
        client.expect("connected")
    }
}

fn definition(
    cache_type: CacheType,
    endpoints: &[u16],
    change: impl FnOnce(&mut Draft),
) -> Cluster {
    let endpoint = |port: &u16| EndpointDraft {
        addr: format!("127.0.0.1:{port}"),
        ..EndpointDraft::default()
    };
    let mut draft = Draft {
        name: "c".to_owned(),
        listen_addr: "127.0.0.1:9000".to_owned(),
        cache_type: Some(cache_type),
        endpoints: endpoints.iter().map(endpoint).collect(),
        ..Draft::default()
    };
    change(&mut draft);
    ClusterSpec::new(draft).expect("valid").resolve()
}

/// A Redis Cluster all of whose slots belong to one of its endpoints.
fn owned_by(generation: u64, endpoints: &[u16], owner: u16) -> Topology {
    let endpoint = |port: &u16| TopologyEndpoint {
        addr: format!("127.0.0.1:{port}").parse().expect("an address"),
        label: format!("127.0.0.1:{port}"),
        health: EndpointHealth::Healthy,
    };
    let endpoints = endpoints.iter().map(endpoint).collect();
    Topology::slots(generation, endpoints, vec![owner; SLOTS].into_boxed_slice())
}

async fn local<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}

#[tokio::test]
async fn redirect_that_ends_a_retired_connection_is_followed() {
    local(async {
        let (a, b) = (listener().await, listener().await);
        let (port_a, port_b) = (port(&a), port(&b));
        let proxy = Proxy::start(CacheType::RedisCluster, &[port_a, port_b], |_| {}).await;
        let (mut first, mut second) = (proxy.client().await, proxy.client().await);
        let (get, other) = (command(&["GET", "k"]), command(&["GET", "x"]));
        say(&mut first, &get).await;
        let mut on_a = accept(&a).await;
        expect(&mut on_a, &get).await;
        // The endpoint leaves the cluster while its last request is on its way.
        proxy
            .shared
            .topology
            .store(Arc::new(owned_by(2, &[port_b], 0)));
        say(&mut second, &other).await;
        let mut on_b = accept(&b).await;
        expect(&mut on_b, &other).await;
        say(&mut on_a, &format!("-MOVED 7629 127.0.0.1:{port_b}\r\n")).await;
        expect(&mut on_b, &get).await;
        say(&mut on_b, "+second\r\n+first\r\n").await;
        expect(&mut second, "+second\r\n").await;
        expect(&mut first, "+first\r\n").await;
    })
    .await;
}

#[tokio::test]
async fn read_that_a_later_write_has_overtaken_is_not_tried_again() {
    local(async {
        let a = listener().await;
        let proxy = Proxy::start(CacheType::Redis, &[port(&a)], |_| {}).await;
        let mut client = proxy.client().await;
        let both = command(&["GET", "k"]) + &command(&["SET", "k", "2"]);
        say(&mut client, &both).await;
        let mut on_a = accept(&a).await;
        expect(&mut on_a, &both).await;
        say(&mut on_a, "-LOADING wait\r\n+OK\r\n").await;
        // Asked again, the endpoint would show a value that was written after the question.
        expect(&mut client, "-LOADING wait\r\n+OK\r\n").await;
    })
    .await;
}

#[tokio::test]
async fn reads_are_tried_again_while_an_endpoint_loads() {
    local(async {
        let a = listener().await;
        let proxy = Proxy::start(CacheType::Redis, &[port(&a)], |_| {}).await;
        let mut client = proxy.client().await;
        let gets = [command(&["GET", "k"]), command(&["GET", "l"])];
        say(&mut client, &gets.concat()).await;
        let mut on_a = accept(&a).await;
        expect(&mut on_a, &gets.concat()).await;
        say(&mut on_a, "-LOADING wait\r\n+l\r\n").await;
        expect(&mut on_a, &gets[0]).await;
        say(&mut on_a, "+k\r\n").await;
        expect(&mut client, "+k\r\n+l\r\n").await;
    })
    .await;
}

#[tokio::test]
async fn words_of_an_endpoint_before_the_request_are_not_its_reply() {
    local(async {
        let a = listener().await;
        let proxy = Proxy::start(CacheType::Redis, &[port(&a)], |draft| {
            draft.backend_auth = Some(BackendAuthDraft {
                username: None,
                password: Some(Secret::Plain("secret".to_owned())),
            });
        })
        .await;
        let mut client = proxy.client().await;
        say(&mut client, &command(&["GET", "k"])).await;
        let mut on_a = accept(&a).await;
        expect(&mut on_a, &command(&["AUTH", "secret"])).await;
        say(&mut on_a, "+OK\r\n-ERR nobody asked\r\n").await;
        let reply = line(&mut client).await;
        assert!(reply.starts_with("-ERR prism: "), "{reply}");
        assert!(reply.contains("nobody asked"), "{reply}");
    })
    .await;
}

#[tokio::test]
async fn endpoint_that_closes_every_connection_at_once_is_left_alone_for_a_while() {
    local(async {
        let a = listener().await;
        let proxy = Proxy::start(CacheType::Redis, &[port(&a)], |_| {}).await;
        let mut client = proxy.client().await;
        let accepted = Rc::new(std::cell::Cell::new(0));
        let count = Rc::clone(&accepted);
        tokio::task::spawn_local(async move {
            loop {
                drop(accept(&a).await);
                count.set(count.get() + 1);
            }
        });
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(400) {
            say(&mut client, &command(&["GET", "k"])).await;
            assert!(line(&mut client).await.starts_with("-ERR prism: "));
        }
        assert!(accepted.get() < 20, "{} connections", accepted.get());
    })
    .await;
}

#[tokio::test]
async fn slot_without_an_owner_makes_the_proxy_ask_again_who_is_there() {
    local(async {
        let a = listener().await;
        let ports = [port(&a)];
        let mut proxy = Proxy::start(CacheType::RedisCluster, &ports, |_| {}).await;
        let empty = owned_by(2, &ports, NO_OWNER);
        proxy.shared.topology.store(Arc::new(empty));
        let mut client = proxy.client().await;
        say(&mut client, &command(&["GET", "k"])).await;
        assert!(line(&mut client).await.contains("no owner"));
        assert_eq!(proxy.seen.try_recv(), Ok(Observation::Doubt));
    })
    .await;
}

#[tokio::test]
async fn request_that_was_redirected_late_does_not_make_its_new_endpoint_look_dead() {
    local(async {
        let (a, b) = (listener().await, listener().await);
        let ports = [port(&a), port(&b)];
        let proxy = Proxy::start(CacheType::RedisCluster, &ports, |draft| {
            draft.dead_after = Some(Duration::from_millis(200));
            draft.read_timeout = Some(Duration::from_secs(5));
        })
        .await;
        let mut client = proxy.client().await;
        let get = command(&["GET", "k"]);
        let moved = format!("-MOVED 7629 127.0.0.1:{}\r\n", ports[1]);
        let back = format!("-MOVED 7629 127.0.0.1:{}\r\n", ports[0]);
        say(&mut client, &get).await;
        let mut on_a = accept(&a).await;
        expect(&mut on_a, &get).await;
        say(&mut on_a, &moved).await;
        let mut on_b = accept(&b).await;
        expect(&mut on_b, &get).await;
        say(&mut on_b, &back).await;
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(250) {
            expect(&mut on_a, &get).await;
            say(&mut on_a, "-CLUSTERDOWN wait\r\n").await;
        }
        expect(&mut on_a, &get).await;
        say(&mut on_a, &moved).await;
        // Nothing came from here for longer than `dead_after`, because nothing was asked.
        expect(&mut on_b, &get).await;
        say(&mut on_b, "+v\r\n").await;
        expect(&mut client, "+v\r\n").await;
    })
    .await;
}

#[tokio::test]
async fn nodes_that_redirect_in_circles_get_time_to_agree() {
    local(async {
        let (a, b) = (listener().await, listener().await);
        let ports = [port(&a), port(&b)];
        let proxy = Proxy::start(CacheType::RedisCluster, &ports, |draft| {
            draft.read_timeout = Some(Duration::from_secs(10));
        })
        .await;
        let mut client = proxy.client().await;
        let get = command(&["GET", "k"]);
        let moved = |to: u16| format!("-MOVED 7629 127.0.0.1:{to}\r\n");
        say(&mut client, &get).await;
        let mut on_a = accept(&a).await;
        expect(&mut on_a, &get).await;
        say(&mut on_a, &moved(ports[1])).await;
        let mut on_b = accept(&b).await;
        for _ in 0..4 {
            expect(&mut on_b, &get).await;
            say(&mut on_b, &moved(ports[0])).await;
            expect(&mut on_a, &get).await;
            say(&mut on_a, &moved(ports[1])).await;
        }
        expect(&mut on_b, &get).await;
        say(&mut on_b, "+v\r\n").await;
        expect(&mut client, "+v\r\n").await;
    })
    .await;
}

#[tokio::test]
async fn answered_bytes_do_not_count_as_pending() {
    local(async {
        let a = listener().await;
        let proxy = Proxy::start(CacheType::Redis, &[port(&a)], |draft| {
            draft.max_pending_bytes = Some(16 * 1024);
        })
        .await;
        let mut client = proxy.client().await;
        let key = "k".repeat(1000);
        let get = command(&["GET", &key]);
        say(&mut client, &get).await;
        let mut on_a = accept(&a).await;
        // One request is always on its way, so the outbox is never empty.
        for _ in 0..50 {
            say(&mut client, &get).await;
            expect(&mut on_a, &get).await;
            say(&mut on_a, "+v\r\n").await;
            expect(&mut client, "+v\r\n").await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn session_with_half_a_request_does_not_keep_a_removed_cluster_for_ever() {
    local(async {
        let a = listener().await;
        let proxy = Proxy::start(CacheType::Redis, &[port(&a)], |_| {}).await;
        let mut client = proxy.client().await;
        say(&mut client, "*2\r\n$3\r\nGET\r\n$1").await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        proxy.worker.close();
        let mut byte = [0];
        let read = timeout(Duration::from_secs(120), client.read(&mut byte)).await;
        assert_eq!(read.expect("the session ends").expect("in order"), 0);
        assert!(proxy.worker.is_finished());
    })
    .await;
}
