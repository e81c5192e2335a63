//! Commands about all clients of a cluster on this data plane: every worker is asked, the answers make one reply.

use std::borrow::Cow;

use super::{Asked, Client, Words, clients, refuse_with, slowlog};
use crate::{
    cluster::Batch,
    downstream::session::Next,
    observe::{Answer, Question},
    protocol::redis::reply::{Dialect, write_error},
};

/// What a command asks of all workers, and what it makes of the answers.
pub(super) struct Plan {
    pub(super) question: Question,
    pub(super) reply: Reply,
    /// Whether the session goes on afterwards.
    pub(super) next: Next,
}

/// Writes the reply that all answers make.
pub(super) type Reply = Box<dyn FnOnce(Vec<Answer>, Dialect, &mut Vec<u8>)>;

/// Reads a command's arguments.
type Planner = fn(&Client, &Asked<'_>) -> Result<Plan, Words>;

/// Serves one of these commands, `None` for every other.
pub(super) fn serve(client: &mut Client, asked: &Asked<'_>, batch: &mut Batch<'_>) -> Option<Next> {
    let planner = planner(asked.command.name)?;
    if !batch.is_quiet() {
        // What the session asked for before is to be seen by whoever looks.
        return Some(Next::Hold);
    }
    Some(match planner(client, asked) {
        Ok(plan) => ask(plan, asked.kind.dialect, batch),
        Err(words) => {
            refuse_with(batch, &words);
            Next::Continue
        }
    })
}

/// Returns whether `name` is one of these commands.
pub(super) fn serves(name: &str) -> bool {
    planner(name).is_some()
}

fn planner(name: &str) -> Option<Planner> {
    Some(match name {
        "client|kill" => clients::kill,
        "client|list" => clients::list,
        "client|pause" => clients::pause,
        "client|unblock" => clients::unblock,
        "client|unpause" => clients::unpause,
        "slowlog|get" => slowlog::get,
        "slowlog|len" => slowlog::len,
        "slowlog|reset" => slowlog::reset,
        _ => return None,
    })
}

/// Asks every worker; the session's later requests wait for the reply, which comes in bounded time.
fn ask(plan: Plan, dialect: Dialect, batch: &mut Batch<'_>) -> Next {
    let deferred = batch.postpone();
    let cluster = batch.cluster().shared();
    tokio::task::spawn_local(async move {
        let runtime = cluster.runtime();
        // A client that has closed its half still wants the reply, which is never far.
        let answers = runtime.shared.exchange.ask(&plan.question).await;
        let mut out = Vec::new();
        match answers {
            Ok(answers) => (plan.reply)(answers, dialect, &mut out),
            Err(error) => write_error(&mut out, format!("ERR prism: {error}")),
        }
        cluster.settle(deferred.ticket, &out);
    });
    plan.next
}

/// Adds up how many clients it concerned.
pub(super) fn total(answers: &[Answer]) -> u64 {
    let counts = answers.iter().map(|answer| match answer {
        Answer::Count(count) => *count,
        Answer::Clients(_) | Answer::Slow(_) => 0,
    });
    counts.sum()
}

/// Returns the words of Redis for arguments too many.
pub(super) fn too_many(asked: &Asked<'_>) -> Words {
    let (container, name) = asked.command.name.split_once('|').unwrap_or_default();
    let said = crate::protocol::redis::command::as_text(asked.word(1));
    debug_assert!(said.eq_ignore_ascii_case(name));
    Cow::Owned(format!(
        "ERR unknown subcommand or wrong number of arguments for '{said}'. Try {} HELP.",
        container.to_ascii_uppercase()
    ))
}
