//! What one worker tells others of its clients, and does for them.

use std::{
    rc::Rc,
    sync::atomic::Ordering,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::ClusterWorker;
use crate::{
    inflight::{ByteQueue, Cancel},
    observe::{Answer, Filter, Letter, Question, SlowEntry, SlowLog},
    protocol::redis::command::lookup,
    upstream::{Expect, Nanos, Pending, nanos},
};

/// Answers what other workers ask, and ends pauses in time; ends once the cluster has left the exchange.
pub(super) async fn run(cluster: Rc<ClusterWorker>, mut letters: mpsc::Receiver<Letter>) {
    loop {
        let until = cluster.observer.pause.until();
        let end = until.map(|at| cluster.context.clock.instant(at));
        tokio::select! {
            letter = letters.recv() => match letter {
                Some(letter) => {
                    let answer = answer(&cluster, letter.question);
                    // Whoever asked may have given up.
                    let _ = letter.answer.send(answer);
                }
                None => return,
            },
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {
                end_pause(&cluster);
            }
        }
    }
}

fn answer(cluster: &ClusterWorker, question: Question) -> Answer {
    let observer = &cluster.observer;
    let now = cluster.context.clock.read();
    match question {
        Question::Kill(filter) => Answer::Count(kill(cluster, &filter)),
        Question::List(filter) => {
            let mut table = cluster.table.borrow_mut();
            let clients = observer.clients.borrow();
            Answer::Clients(clients.list(&filter, &mut table, now, |kind| cluster.travel(kind)))
        }
        Question::Pause(kind, time) => {
            observer.pause.begin(kind, now + nanos(time));
            Answer::Count(0)
        }
        Question::Slow => Answer::Slow(observer.slow.entries()),
        Question::SlowReset => {
            observer.slow.clear();
            Answer::Count(0)
        }
        Question::Unblock { id, is_error } => {
            let why = if is_error {
                Cancel::Error
            } else {
                Cancel::Timeout
            };
            Answer::Count(u64::from(unblock(cluster, id, why)))
        }
        Question::Unpause => {
            end_pause(cluster);
            Answer::Count(0)
        }
    }
}

fn end_pause(cluster: &ClusterWorker) {
    cluster.observer.pause.end();
    cluster.table.borrow_mut().wake_all();
}

/// Closes clients as they are, and returns how many.
fn kill(cluster: &ClusterWorker, filter: &Filter) -> u64 {
    let mut table = cluster.table.borrow_mut();
    let mut killed = 0;
    for record in cluster.observer.clients.borrow().those(filter) {
        if let Some(replies) = table.get(record.ticket) {
            replies.quiet.is_killed = true;
            replies.bell().ring();
            killed += 1;
        }
    }
    killed
}

/// Ends the wait of a client; returns whether it waited.
fn unblock(cluster: &ClusterWorker, id: u64, why: Cancel) -> bool {
    let filter = Filter {
        ids: Some(vec![id]),
        ..Filter::default()
    };
    let clients = cluster.observer.clients.borrow();
    let blocked = clients
        .those(&filter)
        .find(|client| client.is_blocked.get());
    let mut table = cluster.table.borrow_mut();
    let replies = blocked.and_then(|client| table.get(client.ticket));
    replies.is_some_and(|replies| replies.cancel(why))
}

/// Keeps a request of a client that took long; those that may carry a secret are left out.
#[cold]
pub(super) fn note_slow(
    cluster: &ClusterWorker,
    pending: &Pending,
    elapsed: Nanos,
    outbox: &ByteQueue,
) {
    let clients = cluster.observer.clients.borrow();
    let (Expect::Redis, Some(record)) = (pending.expect, clients.get(pending.ticket)) else {
        return;
    };
    let mut bytes = Vec::new();
    let len = usize::try_from(pending.len).unwrap_or(usize::MAX);
    outbox.copy(pending.start, len.min(SlowLog::LOOK), &mut bytes);
    let args = SlowLog::cut(&bytes);
    let Some(name) = args.first() else {
        return;
    };
    if lookup(name).is_some_and(|command| command.has_flag("skip_slowlog")) {
        return;
    }
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let exchange = &cluster.runtime().shared.exchange;
    cluster.observer.slow.push(SlowEntry {
        id: exchange.next_slow.fetch_add(1, Ordering::Relaxed),
        time: time.as_secs(),
        took: Duration::from_nanos(elapsed),
        args,
        addr: record.addr.clone(),
        name: record.name.borrow().clone(),
    });
}
