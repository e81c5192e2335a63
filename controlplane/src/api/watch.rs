//! Streams of clusters and of data planes; a slow reader gets fewer, larger steps.

use std::{sync::Arc, time::Duration};

use prism_proto::{
    pb::admin::v1::{Dataplane, WatchDataplanesResponse, WatchResponse},
    status,
};
use tokio::{
    sync::mpsc::{self, Sender},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Context, reply, status::from_catalog};
use crate::{
    catalog::{HistoryEntry, Image},
    store::Revision,
};

/// Steps that wait for one reader.
const OUTBOX: usize = 2;
/// Most revisions that a watch can resume over.
const REACH: usize = 1000;
/// Changes of data planes within this time travel together.
const COALESCE: Duration = Duration::from_millis(100);
/// How often states that change by time alone are looked at.
const AGING: Duration = Duration::from_secs(2);

type Steps<T> = ReceiverStream<Result<T, Status>>;

/// Follows the clusters: the whole list first, or what happened after `from`.
pub(super) async fn clusters(
    context: &Context,
    from: Option<Revision>,
) -> Result<Steps<WatchResponse>, Status> {
    let image = context.catalog.image();
    let first = match from {
        None => Some(initial(context, &image)),
        Some(from) if from == image.revision => None,
        Some(from) => Some(missed(context, &image, from).await?),
    };
    let (sender, receiver) = mpsc::channel(OUTBOX);
    let task = follow_clusters(context.clone(), image, first, sender);
    context.tasks.spawn(task);
    Ok(ReceiverStream::new(receiver))
}

fn initial(context: &Context, image: &Image) -> WatchResponse {
    WatchResponse {
        revision: Some(reply::place(image.revision)),
        upserts: reply::clusters(context, image),
        removed: Vec::new(),
        initial: true,
    }
}

/// Makes the step from `from` to the image out of the history.
async fn missed(context: &Context, image: &Image, from: Revision) -> Result<WatchResponse, Status> {
    let history = context.catalog.history(REACH).await;
    let history = history.map_err(|error| from_catalog(&error))?;
    let later: Vec<&HistoryEntry> = history
        .iter()
        .filter(|entry| entry.revision > from)
        .collect();
    let distance = image.revision.number.checked_sub(from.number);
    let reaches_back = distance == u64::try_from(later.len()).ok();
    if from > image.revision || !reaches_back {
        let head = image.revision.to_string();
        let text =
            format!("the history does not reach from {from} to {head}: watch from the start");
        return Err(status::out_of_range(
            "WATCH_TOO_OLD",
            text,
            &[("revision", &head)],
        ));
    }
    let mut names: Vec<&str> = later
        .iter()
        .flat_map(|entry| &entry.changes)
        .map(|change| change.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut step = step(image);
    for name in names {
        match image.clusters.get(name) {
            Some(stored) => step.upserts.push(reply::cluster(context, stored)),
            None => step.removed.push(name.into()),
        }
    }
    Ok(step)
}

async fn follow_clusters(
    mut context: Context,
    mut seen: Arc<Image>,
    first: Option<WatchResponse>,
    sender: Sender<Result<WatchResponse, Status>>,
) {
    let mut images = context.catalog.watch();
    let mut next = first;
    loop {
        if let Some(step) = next.take()
            && sender.send(Ok(step)).await.is_err()
        {
            return;
        }
        let image = Arc::clone(&images.borrow_and_update());
        if image.revision != seen.revision {
            next = Some(difference(&context, &seen, &image));
            seen = image;
            continue;
        }
        tokio::select! {
            Ok(()) = images.changed() => {}
            () = sender.closed() => return,
            _ = context.ending.wait_for(|ending| *ending) => return,
        }
    }
}

fn difference(context: &Context, seen: &Image, image: &Image) -> WatchResponse {
    let mut step = step(image);
    for (name, stored) in &image.clusters {
        if seen.clusters.get(name) != Some(stored) {
            step.upserts.push(reply::cluster(context, stored));
        }
    }
    let gone = seen
        .clusters
        .keys()
        .filter(|name| !image.clusters.contains_key(*name));
    step.removed = gone.cloned().collect();
    step
}

fn step(image: &Image) -> WatchResponse {
    WatchResponse {
        revision: Some(reply::place(image.revision)),
        ..WatchResponse::default()
    }
}

/// Follows the data planes: the whole list now and after each change.
pub(super) fn dataplanes(context: &Context) -> Steps<WatchDataplanesResponse> {
    let (sender, receiver) = mpsc::channel(OUTBOX);
    context
        .tasks
        .spawn(follow_dataplanes(context.clone(), sender));
    ReceiverStream::new(receiver)
}

async fn follow_dataplanes(
    mut context: Context,
    sender: Sender<Result<WatchDataplanesResponse, Status>>,
) {
    let mut changes = context.fleet.watch();
    let mut images = context.catalog.watch();
    let mut aging = interval(AGING);
    aging.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = None;
    loop {
        changes.mark_unchanged();
        let head = images.borrow_and_update().revision;
        let dataplanes = context.fleet.list(head);
        let news = Some((head, dataplanes.iter().map(essence).collect::<Vec<_>>()));
        if news != shown {
            shown = news;
            let revision = Some(reply::place(head));
            let step = WatchDataplanesResponse {
                dataplanes,
                revision,
            };
            if sender.send(Ok(step)).await.is_err() {
                return;
            }
            sleep(COALESCE).await;
        }
        tokio::select! {
            Ok(()) = changes.changed() => {}
            Ok(()) = images.changed() => {}
            _ = aging.tick() => {}
            () = sender.closed() => return,
            _ = context.ending.wait_for(|ending| *ending) => return,
        }
    }
}

/// What makes a list worth sending: everything but when data planes were last heard of.
fn essence(dataplane: &Dataplane) -> Dataplane {
    Dataplane {
        last_seen: None,
        ..dataplane.clone()
    }
}
