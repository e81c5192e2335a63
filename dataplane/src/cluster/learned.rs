//! Commands that the table does not have: asked of an endpoint once, then known for a while.
//!
//! The session that needs one sends `COMMAND INFO` in its own order and holds; the reply goes to the cluster's memory and
//! not to the client, and the session looks there when it goes on.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use super::{Batch, CallError};
use crate::{
    protocol::redis::{
        command::Foreign,
        reply::{is_error, write_array_header, write_bulk, write_error},
    },
    upstream::{Nanos, nanos},
};

/// Names kept, known and unknown together.
const MOST: usize = 1024;

/// Time after which a command is asked about again: modules change.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// Time for which a name that no endpoint knows is not asked about again.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// Time in which the session that asked sees why it got no answer.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// What is known of a name.
#[derive(Clone, Debug)]
pub enum Knowledge {
    /// A command.
    Command(Rc<Foreign>),
    /// Asking failed; the reply for the client.
    Failed(Rc<[u8]>),
    /// No command has it.
    Nothing,
}

/// What one cluster's endpoints said of names on one worker.
#[derive(Debug, Default)]
pub(super) struct Learned {
    names: RefCell<HashMap<Box<[u8]>, Entry>>,
}

#[derive(Debug)]
struct Entry {
    knowledge: Knowledge,
    until: Nanos,
}

impl Learned {
    /// Returns what is known of a name, given in lower case.
    fn look_up(&self, name: &[u8], now: Nanos) -> Option<Knowledge> {
        let names = self.names.borrow();
        let entry = names.get(name).filter(|entry| now < entry.until)?;
        Some(entry.knowledge.clone())
    }

    fn learn(&self, name: Box<[u8]>, knowledge: Knowledge, now: Nanos) {
        let mut names = self.names.borrow_mut();
        if names.len() >= MOST {
            names.retain(|_, entry| {
                now < entry.until && matches!(entry.knowledge, Knowledge::Command(_))
            });
        }
        if names.len() >= MOST {
            names.clear();
        }
        let kept = match knowledge {
            Knowledge::Command(_) => KNOWN_FOR,
            Knowledge::Failed(_) => FAILED_FOR,
            Knowledge::Nothing => UNKNOWN_FOR,
        };
        let until = now + nanos(kept);
        names.insert(name, Entry { knowledge, until });
    }
}

impl Knowledge {
    fn of_reply(reply: &[u8]) -> Self {
        if is_error(reply) {
            return Self::Failed(reply.into());
        }
        match Foreign::read(reply) {
            Some(Some(command)) => Self::Command(Rc::new(command)),
            Some(None) => Self::Nothing,
            None => {
                let mut text = Vec::new();
                write_error(
                    &mut text,
                    "ERR prism: an endpoint describes the command in no known form",
                );
                Self::Failed(text.into())
            }
        }
    }
}

impl Batch<'_> {
    /// Returns what is known of a command that is not in the table.
    ///
    /// When that is nothing yet, an endpoint is asked: the caller is to hold its request and to look again.
    ///
    /// # Errors
    /// When there is no endpoint to ask.
    pub fn learn(&mut self, name: &[u8]) -> Result<Option<Knowledge>, CallError> {
        let name = name.to_ascii_lowercase();
        let cluster = self.cluster().shared();
        let now = cluster.context.clock.now();
        if let Some(knowledge) = cluster.learned.look_up(&name, now) {
            return Ok(Some(knowledge));
        }
        let mut request = Vec::new();
        write_array_header(&mut request, 3);
        for word in [b"COMMAND".as_slice(), b"INFO", &name] {
            write_bulk(&mut request, word);
        }
        let cluster = Rc::downgrade(&cluster);
        self.ask_one(
            &request,
            Box::new(move |parts, _| {
                if let (Some(cluster), Some(part)) = (cluster.upgrade(), parts.first()) {
                    let knowledge = Knowledge::of_reply(part.reply);
                    let now = cluster.context.clock.now();
                    cluster.learned.learn(name.clone().into(), knowledge, now);
                }
            }),
        )?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn name(index: usize) -> Box<[u8]> {
        format!("name-{index}").into_bytes().into()
    }

    #[test]
    fn what_nobody_knows_is_asked_again_after_a_while() {
        let learned = Learned::default();
        learned.learn(name(1), Knowledge::Nothing, 0);
        assert!(learned.look_up(b"name-1", 9 * SECOND).is_some());
        assert!(learned.look_up(b"name-1", 10 * SECOND).is_none());
        let failed = Knowledge::of_reply(b"-LOADING wait\r\n");
        learned.learn(name(2), failed, 0);
        assert!(matches!(
            learned.look_up(b"name-2", 0),
            Some(Knowledge::Failed(_))
        ));
        assert!(learned.look_up(b"name-2", SECOND).is_none());
    }

    #[test]
    fn names_are_bounded_and_commands_outlive_what_is_unknown() {
        let learned = Learned::default();
        let reply = b"*1\r\n*6\r\n$1\r\nx\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n";
        learned.learn(name(0), Knowledge::of_reply(reply), 0);
        for index in 1..3 * MOST {
            learned.learn(name(index), Knowledge::Nothing, 1);
            assert!(learned.names.borrow().len() <= MOST);
        }
        assert!(matches!(
            learned.look_up(b"name-0", 2),
            Some(Knowledge::Command(_))
        ));
    }

    #[test]
    fn reply_that_is_no_description_is_a_failure() {
        assert!(matches!(
            Knowledge::of_reply(b"+OK\r\n"),
            Knowledge::Failed(_)
        ));
        assert!(matches!(
            Knowledge::of_reply(b"*1\r\n*-1\r\n"),
            Knowledge::Nothing
        ));
    }
}
