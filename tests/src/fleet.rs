//! A control plane with data planes `dp-1`, `dp-2` … that listen on 127.0.0.1, 127.0.0.2 …

use crate::{
    ports,
    programs::{ControlPlane, DataPlane, Output},
};

/// A running fleet, ended when this is dropped.
#[derive(Debug)]
pub struct Fleet {
    /// The data planes.
    pub data_planes: Vec<DataPlane>,
    /// The control plane they follow.
    pub control: ControlPlane,
}

impl Fleet {
    /// Starts a control plane and `count` data planes.
    ///
    /// # Panics
    /// When one does not become ready.
    pub fn start(count: usize) -> Self {
        let control = ControlPlane::start();
        let data_planes = (1..=count)
            .map(|number| Self::data_plane(&control, number, &[]))
            .collect();
        Self {
            data_planes,
            control,
        }
    }

    /// Starts data plane `dp-{number}` with more arguments.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn data_plane(control: &ControlPlane, number: usize, more: &[&str]) -> DataPlane {
        let bind = format!("127.0.0.{number}");
        let mut arguments = vec!["--bind-ip", &bind];
        arguments.extend(more);
        DataPlane::follow_with(control, &format!("dp-{number}"), &arguments)
    }

    /// A free address for a definition, and where each data plane will listen for it.
    pub fn listener(&self) -> (String, Vec<String>) {
        let port = ports::free_port();
        let everywhere = (1..=self.data_planes.len())
            .map(|number| format!("127.0.0.{number}:{port}"))
            .collect();
        (format!("0.0.0.0:{port}"), everywhere)
    }

    /// Applies definitions and waits for all data planes.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn apply(&self, definitions: &str) -> Output {
        self.control.apply(definitions)
    }

    /// What `prismctl -o json` answers to `words`.
    ///
    /// # Panics
    /// When that is no JSON.
    #[track_caller]
    pub fn json(&self, words: &str) -> serde_json::Value {
        let mut arguments: Vec<_> = words.split_whitespace().collect();
        arguments.extend(["-o", "json"]);
        let output = self.control.ctl(&arguments);
        serde_json::from_str(&output.stdout)
            .unwrap_or_else(|_| serde_json::json!({ "output": format!("{output:?}") }))
    }

    /// The state that `prismctl status` shows for data plane `id`.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub fn state(&self, id: &str) -> String {
        let status = self.json("status");
        let found = status["dataplanes"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["id"] == id))
            .and_then(|one| one["state"].as_str());
        found.unwrap_or("unknown").to_owned()
    }
}
