//! The topology task of a Redis Cluster, against endpoints whose every word is written in the test.

use std::{cell::Cell, future::Future, rc::Rc, sync::Arc, time::Duration};

use prism_proto::model::{CacheType, Cluster, ClusterSpec, Draft, EndpointDraft};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::LocalSet,
    time::{sleep, timeout},
};

use super::TopologyHandle;
use crate::{
    cluster::{ClusterShared, Observation},
    metrics::Registry,
};

fn cluster(seed: u16) -> Arc<Cluster> {
    let endpoint = EndpointDraft {
        addr: format!("127.0.0.1:{seed}"),
        ..EndpointDraft::default()
    };
    let draft = Draft {
        name: "c".to_owned(),
        listen_addr: "127.0.0.1:9000".to_owned(),
        cache_type: Some(CacheType::RedisCluster),
        endpoints: vec![endpoint],
        ..Draft::default()
    };
    Arc::new(ClusterSpec::new(draft).expect("valid").resolve())
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

/// Answers every question with: all slots are mine.
async fn own_everything(listener: TcpListener, port: u16) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        let mut question = [0; 64];
        let count = stream.read(&mut question).await.expect("read");
        assert!(question[..count].ends_with(b"SLOTS\r\n"));
        let map =
            format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\naa\r\n");
        stream.write_all(map.as_bytes()).await.expect("written");
    }
}

/// Waits until the only endpoint is the one at `port`.
async fn led_by(shared: &ClusterShared, port: u16) {
    let addr = format!("127.0.0.1:{port}").parse().expect("an address");
    let is_there = async {
        while !matches!(&shared.topology.load().endpoints[..], [only] if only.addr == addr) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(Duration::from_secs(10), is_there).await;
    waited.expect("the endpoint is in the topology");
}

async fn local<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}

#[tokio::test]
async fn endpoint_that_does_not_answer_is_asked_by_one_refresh_at_a_time() {
    local(async {
        let (silent, port) = listener().await;
        let (shared, _handle) = TopologyHandle::start(cluster(port), Registry::new());
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        tokio::task::spawn_local(async move {
            let mut kept = Vec::new();
            loop {
                kept.push(silent.accept().await.expect("accepted"));
                count.set(count.get() + 1);
            }
        });
        for _ in 0..50 {
            let sent = shared.observations.send(Observation::Doubt).await;
            sent.expect("the task is there");
            sleep(Duration::from_millis(5)).await;
        }
        assert!(
            (1..=2).contains(&asked.get()),
            "asked {} times",
            asked.get()
        );
    })
    .await;
}

#[tokio::test]
async fn changed_seeds_lead_to_the_cluster_they_belong_to() {
    local(async {
        let ((a, port_a), (b, port_b)) = (listener().await, listener().await);
        tokio::task::spawn_local(own_everything(a, port_a));
        tokio::task::spawn_local(own_everything(b, port_b));
        let (shared, handle) = TopologyHandle::start(cluster(port_a), Registry::new());
        led_by(&shared, port_a).await;
        // Both clusters are alive; the definition now names the other.
        handle.update(cluster(port_b)).await;
        led_by(&shared, port_b).await;
    })
    .await;
}
