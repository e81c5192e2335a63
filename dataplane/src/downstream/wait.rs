//! WAIT: how many replicas have what the session wrote, on the shard where they are fewest.
//!
//! An endpoint counts for a connection: WAIT answers for what that very connection wrote, and a new one wrote nothing.
//! It would also stop the connection that the writes travelled on, which others share. So a private connection first
//! reads how far the endpoint's replication stream has come, which is past the session's answered writes; then WAIT
//! makes the replicas tell how far they are, and what they told is compared with that mark. Endpoints before 7.2 count
//! any command as a write; there the answer to WAIT is already right, and the comparison agrees.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::timeout};

use super::{
    apart::{ask_on, each, merged},
    local::integer,
    session::Next,
};
use crate::{
    cluster::{Batch, CallError, ClusterWorker, Place},
    inflight::{Cancel, Deferred, Wish},
    protocol::{
        message::{Span, bytes_of},
        redis::{
            aggregate::Gather,
            reply::{
                self, bulk_string, write_array_header, write_bulk, write_error, write_integer,
            },
        },
    },
    upstream::Kind,
};

/// How long an endpoint is asked to wait when it has to be asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// What a client asked for.
#[derive(Clone, Copy)]
struct Wanted {
    replicas: i64,
    /// `None` waits for ever.
    until: Option<Instant>,
}

/// Begins to wait, once the session's writes are answered.
pub(super) fn serve(raw: &[u8], args: &[Span], batch: &mut Batch<'_>) -> Next {
    let wanted = match read(raw, args) {
        Ok(wanted) => wanted,
        Err(words) => {
            batch.answer(|out| write_error(out, words));
            return Next::Continue;
        }
    };
    if !batch.is_quiet() {
        return Next::Hold;
    }
    let places = match batch.written() {
        Ok(places) => places,
        Err(error) => {
            batch.fail(Wish::Reply, &error);
            return Next::Continue;
        }
    };
    let mut deferred = batch.postpone();
    let cluster = batch.cluster().shared();
    tokio::task::spawn_local(async move {
        let ticket = deferred.ticket;
        cluster.note_blocked(ticket, true);
        let reply = waited(&cluster, &places, wanted, &mut deferred).await;
        cluster.note_blocked(ticket, false);
        cluster.settle(ticket, &reply);
    });
    Next::Continue
}

/// Waits at all places, or until the wait is called off, and returns the reply.
async fn waited(
    cluster: &Rc<ClusterWorker>,
    places: &[Place],
    wanted: Wanted,
    deferred: &mut Deferred,
) -> Vec<u8> {
    let (stop, stopped) = watch::channel(());
    let waiting = each(places, |place| {
        let (cluster, stopped) = (Rc::clone(cluster), stopped.clone());
        async move { wait(&cluster, &place, wanted, stopped).await }
    });
    tokio::pin!(waiting);
    let outcomes = tokio::select! {
        outcomes = &mut waiting => outcomes,
        why = deferred.cancelled() => match why {
            Cancel::Gone => return Vec::new(),
            Cancel::Error => return UNBLOCKED.to_vec(),
            Cancel::Timeout => {
                stop.send_replace(());
                waiting.await
            }
        },
    };
    merged(cluster, places, outcomes, Gather::Smallest)
}

const UNBLOCKED: &[u8] = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";

fn read(raw: &[u8], args: &[Span]) -> Result<Wanted, &'static str> {
    let number = |at: usize| args.get(at).and_then(|span| integer(bytes_of(raw, span)));
    let replicas = number(1).ok_or("ERR value is not an integer or out of range")?;
    let millis = number(2).ok_or("ERR timeout is not an integer or out of range")?;
    let millis = u64::try_from(millis).map_err(|_| "ERR timeout is negative")?;
    let until = Instant::now().checked_add(Duration::from_millis(millis));
    Ok(Wanted {
        replicas,
        until: until.filter(|_| millis > 0),
    })
}

/// Waits for the replicas of one shard; the reply is what the endpoint would say, or its own refusal.
async fn wait(
    cluster: &ClusterWorker,
    place: &Place,
    wanted: Wanted,
    mut stopped: watch::Receiver<()>,
) -> Result<Vec<u8>, CallError> {
    let mut lease = cluster.lease(place, Kind::default()).await?;
    let before = ask_on(cluster, &mut lease, INFO).await?;
    let Some(mark) = mark(&before) else {
        return Ok(before);
    };
    let mut is_first = true;
    loop {
        let left = wanted
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        let (replicas, time) = match is_first {
            true => (wanted.replicas, left),
            // No endpoint has so many: it asks its replicas and waits.
            false => (i64::from(i32::MAX), Some(left.unwrap_or(AGAIN).min(AGAIN))),
        };
        let request = request(replicas, time);
        let asked = lease.ask(&request);
        let limit = time.map(|time| time + cluster.settings().bounds.read);
        let told = tokio::select! {
            told = within(limit, asked) => told,
            _ = stopped.changed() => {
                // The endpoint still holds the answer to WAIT back: another connection is asked.
                let mut lease = cluster.lease(place, Kind::default()).await?;
                let now = ask_on(cluster, &mut lease, INFO).await?;
                return Ok(number(acked(&now, mark)));
            }
        };
        let told = match told {
            Some(Ok(told)) => told,
            Some(Err(loss)) => return Err(place.lost(&loss)),
            None => {
                return Err(CallError::Timeout {
                    endpoint: place.target.label.clone(),
                    limit: limit.unwrap_or_default(),
                });
            }
        };
        let Some(count) = reply::integer(&told) else {
            return Ok(told);
        };
        let now = ask_on(cluster, &mut lease, INFO).await?;
        let count = count.min(acked(&now, mark));
        let is_late = wanted.until.is_some_and(|until| until <= Instant::now());
        if count >= wanted.replicas || is_late {
            return Ok(number(count));
        }
        is_first = false;
    }
}

const INFO: &[u8] = b"*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";

async fn within<F: Future>(limit: Option<Duration>, work: F) -> Option<F::Output> {
    match limit {
        Some(limit) => timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

fn request(replicas: i64, time: Option<Duration>) -> Vec<u8> {
    // 0 would wait for ever.
    let millis = time.map_or(0, |time| time.as_millis().max(1));
    let mut request = Vec::new();
    write_array_header(&mut request, 3);
    for word in ["WAIT", &replicas.to_string(), &millis.to_string()] {
        write_bulk(&mut request, word);
    }
    request
}

fn number(count: i64) -> Vec<u8> {
    let mut out = Vec::new();
    write_integer(&mut out, count);
    out
}

/// How far the replication stream has come, as INFO tells.
fn mark(info: &[u8]) -> Option<i64> {
    lines(info).find_map(|line| line.strip_prefix("master_repl_offset:")?.parse().ok())
}

/// Replicas that have the stream up to `mark`, as INFO tells.
fn acked(info: &[u8], mark: i64) -> i64 {
    let replicas = lines(info).filter(|line| {
        let Some((name, facts)) = line.split_once(':') else {
            return false;
        };
        let number = name
            .strip_prefix("slave")
            .and_then(|number| number.parse::<u32>().ok());
        let fact = |name: &str| {
            let mut facts = facts.split(',').filter_map(|fact| fact.split_once('='));
            facts.find_map(|(key, value)| (key == name).then_some(value))
        };
        let offset = fact("offset").and_then(|offset| offset.parse::<i64>().ok());
        number.is_some()
            && fact("state") == Some("online")
            && offset.is_some_and(|offset| offset >= mark)
    });
    i64::try_from(replicas.count()).unwrap_or(i64::MAX)
}

fn lines(info: &[u8]) -> impl Iterator<Item = &str> {
    let text = bulk_string(info).and_then(|text| std::str::from_utf8(text).ok());
    text.unwrap_or_default().lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_count_once_they_have_the_stream_up_to_the_mark() {
        let text = "# Replication\r\nrole:master\r\nconnected_slaves:4\r\n\
                    slave0:ip=10.0.0.1,port=1,state=online,offset=100,lag=0\r\n\
                    slave1:ip=10.0.0.2,port=1,state=online,offset=99,lag=1\r\n\
                    slave2:ip=10.0.0.3,port=1,state=wait_bgsave,offset=0,lag=1\r\n\
                    slave3:ip=10.0.0.4,port=1,state=online,offset=102,lag=1\r\n\
                    slave_read_only:1\r\nmaster_repl_offset:101\r\n";
        let mut info = Vec::new();
        write_bulk(&mut info, text);
        assert_eq!(mark(&info), Some(101));
        for (mark, count) in [(99, 3), (100, 2), (101, 1), (103, 0), (0, 3)] {
            assert_eq!(acked(&info, mark), count, "{mark}");
        }
        assert_eq!(mark(b"-ERR unknown command 'INFO'\r\n"), None);
    }
}
