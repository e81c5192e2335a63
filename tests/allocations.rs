//! A forwarded single-key request takes no memory: counted over 100 000 of them, in one process with the data plane.

use std::{
    alloc::System,
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
};

use prism_dataplane::{
    cluster::{ClusterRuntime, Runtime, TopologyHandle},
    downstream::ListenSocket,
    metrics::Registry,
    server::worker::{NewListener, WorkerMessage, spawn_worker},
};
use prism_proto::model::{CacheType, ClusterSpec, Draft, EndpointDraft, SlowlogThreshold};
use prism_tests::redis::Redis;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests of one write.
const DEPTH: usize = 16;

/// Puts a pool in service in this process and returns where it listens.
fn serve(endpoints: &[Redis]) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    socket.set_nonblocking(true).expect("a socket");
    let addr = socket.local_addr().expect("bound").to_string();
    let draft = Draft {
        name: "pool".to_owned(),
        listen_addr: addr.clone(),
        cache_type: Some(CacheType::Redis),
        // On a busy machine some requests are slow, and slow ones are kept.
        slowlog_slower_than: Some(SlowlogThreshold::Off),
        endpoints: endpoints
            .iter()
            .map(|redis| EndpointDraft {
                addr: redis.addr(),
                ..EndpointDraft::default()
            })
            .collect(),
        ..Draft::default()
    };
    let cluster = Arc::new(ClusterSpec::new(draft).expect("valid").resolve());
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .expect("a runtime");
        runtime.block_on(async move {
            let registry = Registry::new();
            let (shared, _topology) =
                TopologyHandle::start(Arc::clone(&cluster), Arc::clone(&registry));
            let served =
                ClusterRuntime::new(Arc::clone(&cluster), 0, 0, shared).expect("no secrets");
            let listeners = vec![NewListener {
                cluster: "pool".to_owned(),
                addr: served.listen.clone(),
                socket: ListenSocket::Tcp(socket),
            }];
            let runtime = Arc::new(Runtime {
                generation: 1,
                clusters: BTreeMap::from([("pool".to_owned(), Arc::new(served))]),
            });
            let worker = spawn_worker(0, None, registry).expect("a thread");
            let (done, is_done) = tokio::sync::oneshot::channel();
            let apply = WorkerMessage::Apply {
                runtime,
                listeners,
                done,
            };
            worker.mailbox.send(apply).await.expect("the worker runs");
            is_done.await.expect("the worker serves");
            ready.send(()).expect("the test waits");
            std::future::pending::<()>().await;
        });
    });
    is_ready.recv().expect("the data plane serves");
    addr
}

/// Asks `rounds` times for [`DEPTH`] keys and reads the answers, without taking memory itself.
fn ask(stream: &mut TcpStream, requests: &[u8], replies: &mut [u8], rounds: usize) {
    for _ in 0..rounds {
        stream.write_all(requests).expect("the data plane reads");
        stream.read_exact(replies).expect("the data plane answers");
    }
}

#[test]
fn forwarded_single_key_requests_allocate_nothing() {
    let endpoints = Redis::start_many(3);
    let addr = serve(&endpoints);
    let mut stream = TcpStream::connect(addr).expect("the data plane listens");
    stream.set_nodelay(true).expect("a socket");
    let (mut requests, mut expected): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    for number in 0..DEPTH {
        let key = format!("key:{number}");
        let set = format!(
            "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$5\r\nhello\r\n",
            key.len()
        );
        stream
            .write_all(set.as_bytes())
            .expect("the data plane reads");
        let mut ok = [0; 5];
        stream.read_exact(&mut ok).expect("the data plane answers");
        requests.extend(format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()).bytes());
        expected.extend(b"$5\r\nhello\r\n");
    }
    let mut replies = vec![0; expected.len()];
    ask(&mut stream, &requests, &mut replies, 1000);
    let region = Region::new(ALLOCATOR);
    ask(&mut stream, &requests, &mut replies, 100_000 / DEPTH);
    let change = region.change();
    assert_eq!(replies, expected);
    assert_eq!(
        (change.allocations, change.reallocations),
        (0, 0),
        "{change:?}"
    );
}
