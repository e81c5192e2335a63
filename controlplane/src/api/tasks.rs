//! The tasks of open streams: owned, and joined at the end.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

/// Owns the tasks of streams; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Starts a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }

    /// Waits until all tasks ended. Tasks started meanwhile are not waited for.
    pub async fn join(&self) {
        let mut set = {
            let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *set)
        };
        while set.join_next().await.is_some() {}
    }
}
