//! Requests that must not wait behind those of other clients: private connections to all shards carry them.

use std::rc::Rc;

use tokio::{task::JoinSet, time::timeout};

use super::session::Next;
use crate::{
    cluster::{Batch, CallError, ClusterWorker, Leased, Place},
    inflight::Wish,
    protocol::redis::aggregate::{self, Answer, Gather},
    upstream::{Kind, Wire},
};

/// Asks all shards once the session's earlier requests are answered, and makes their replies one.
pub(super) fn serve(raw: &[u8], how: Gather, batch: &mut Batch<'_>) -> Next {
    if !batch.is_quiet() {
        return Next::Hold;
    }
    let places = match batch.places() {
        Ok(places) => places,
        Err(error) => {
            batch.fail(Wish::Reply, &error);
            return Next::Continue;
        }
    };
    // A shard that runs a script lets nobody select a database.
    let kind = Kind {
        database: 0,
        ..batch.kind()
    };
    let deferred = batch.postpone();
    let (cluster, request) = (batch.cluster().shared(), Rc::<[u8]>::from(raw));
    tokio::task::spawn_local(async move {
        let asked = each(&places, |place| {
            let (cluster, request) = (Rc::clone(&cluster), Rc::clone(&request));
            async move { ask(&cluster, &place, kind, &request).await }
        });
        let reply = merged(&cluster, &places, asked.await, how);
        cluster.settle(deferred.ticket, &reply);
    });
    Next::Continue
}

/// Makes one reply of what came of asking all places.
pub(super) fn merged(
    cluster: &ClusterWorker,
    places: &[Place],
    outcomes: Vec<Result<Vec<u8>, CallError>>,
    how: Gather,
) -> Vec<u8> {
    let replies = outcomes.into_iter().map(|answer| match answer {
        Ok(reply) => reply,
        Err(error) => {
            cluster.metrics.errors_total.inc();
            error.text(Wire::Redis)
        }
    });
    let replies: Vec<_> = replies.collect();
    let answers = places.iter().zip(&replies).map(|(place, reply)| Answer {
        shard: &place.target.label,
        reply,
    });
    let mut out = Vec::new();
    aggregate::gather(&mut out, how, &answers.collect::<Vec<_>>());
    out
}

/// Does the same at all places at once, and returns what came of it in their order.
pub(super) async fn each<T: 'static, F>(
    places: &[Place],
    at: impl Fn(Place) -> F,
) -> Vec<Result<T, CallError>>
where
    F: Future<Output = Result<T, CallError>> + 'static,
{
    let mut tasks = JoinSet::new();
    for (index, place) in places.iter().enumerate() {
        let work = at(place.clone());
        tasks.spawn_local(async move { (index, work.await) });
    }
    let ended = places.iter().map(|place| {
        Err(CallError::Lost {
            endpoint: place.target.label.clone(),
            reason: "was given up".to_owned(),
        })
    });
    let mut outcomes: Vec<_> = ended.collect();
    while let Some(joined) = tasks.join_next().await {
        if let Ok((index, outcome)) = joined {
            outcomes[index] = outcome;
        }
    }
    outcomes
}

async fn ask(
    cluster: &ClusterWorker,
    place: &Place,
    kind: Kind,
    request: &[u8],
) -> Result<Vec<u8>, CallError> {
    let mut lease = cluster.lease(place, kind).await?;
    ask_on(cluster, &mut lease, request).await
}

/// Asks on a private connection, within `read_timeout`.
pub(super) async fn ask_on(
    cluster: &ClusterWorker,
    lease: &mut Leased,
    request: &[u8],
) -> Result<Vec<u8>, CallError> {
    let limit = cluster.settings().bounds.read;
    let place = lease.place().clone();
    match timeout(limit, lease.ask(request)).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(loss)) => Err(place.lost(&loss)),
        Err(_) => Err(CallError::Timeout {
            endpoint: place.target.label.clone(),
            limit,
        }),
    }
}
