//! How each proxy is configured: as alike as they allow, with one worker and nothing that is not needed.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use prism_tests::definitions;
use serde_json::{Value, json};

use crate::case::Topology;

/// What a proxy's configuration is made from.
pub(crate) struct Setting<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) listen: String,
    pub(crate) admin_port: u16,
    pub(crate) topology: Topology,
    pub(crate) endpoints: &'a [String],
}

impl Setting<'_> {
    /// Prism with one worker, serving a definitions file alone.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub(crate) fn prism(&self, path: &Path) -> anyhow::Result<Command> {
        let cache_type = match self.topology {
            Topology::Cluster => "redis_cluster",
            Topology::Memcache => "memcache",
            Topology::Redis => "redis",
        };
        let more = "ping_fail_limit = 0\nread_timeout = 10000\nwrite_timeout = 10000\n";
        let text = definitions::cluster("bench", cache_type, &self.listen, self.endpoints, more);
        let mut command = Command::new(path);
        command
            .arg("--bootstrap")
            .arg(self.file("bench.toml", &text)?)
            .args(["--workers", "1", "--admin"])
            .arg(format!("127.0.0.1:{}", self.admin_port));
        Ok(command)
    }

    /// nutcracker with one pool.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub(crate) fn nutcracker(&self, path: &Path) -> anyhow::Result<Command> {
        let is_redis = self.topology == Topology::Redis;
        let mut text = format!(
            "bench:\n  listen: {}\n  redis: {is_redis}\n  hash: fnv1a_64\n  distribution: ketama\n  \
             preconnect: true\n  auto_eject_hosts: false\n  timeout: 10000\n  backlog: 4096\n  servers:\n",
            self.listen
        );
        for endpoint in self.endpoints {
            writeln!(text, "   - {endpoint}:1")?;
        }
        let mut command = Command::new(path);
        command
            .arg("-c")
            .arg(self.file("nutcracker.yml", &text)?)
            .args(["-a", "127.0.0.1", "-s", &self.admin_port.to_string()])
            // Its default logs every request, at half as much again per request.
            .args(["-v", "0"]);
        Ok(command)
    }

    /// haproxy with one thread, taking the caches in turn.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub(crate) fn haproxy(&self, path: &Path) -> anyhow::Result<Command> {
        let mut text = format!(
            "global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  \
             timeout client 1h\n  timeout server 1h\nlisten bench\n  bind {}\n  balance roundrobin\n",
            self.listen
        );
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            writeln!(text, "  server cache{at} {endpoint}")?;
        }
        let mut command = Command::new(path);
        command
            .args(["-db", "-f"])
            .arg(self.file("haproxy.cfg", &text)?);
        Ok(command)
    }

    /// Envoy with one worker.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub(crate) fn envoy(&self, path: &Path) -> anyhow::Result<Command> {
        let text = envoy_config(self).to_string();
        let mut command = Command::new(path);
        command
            .arg("-c")
            .arg(self.file("envoy.json", &text)?)
            .args(["--concurrency", "1", "--disable-hot-restart"])
            .args(["--log-level", "error"]);
        Ok(command)
    }

    fn file(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

fn envoy_config(setting: &Setting<'_>) -> Value {
    let is_cluster = setting.topology == Topology::Cluster;
    let endpoints: Vec<_> = setting
        .endpoints
        .iter()
        .map(|addr| json!({ "endpoint": { "address": envoy_addr(addr) } }))
        .collect();
    let mut cluster = json!({
        "name": "bench",
        "connect_timeout": "1s",
        "load_assignment": { "cluster_name": "bench", "endpoints": [{ "lb_endpoints": endpoints }] },
    });
    if is_cluster {
        cluster["lb_policy"] = json!("CLUSTER_PROVIDED");
        cluster["cluster_type"] = json!({
            "name": "envoy.clusters.redis",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.clusters.redis.v3.RedisClusterConfig",
                "cluster_refresh_rate": "30s",
            },
        });
    } else {
        cluster["type"] = json!("STATIC");
        cluster["lb_policy"] = json!("RING_HASH");
    }
    let proxy = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
        "stat_prefix": "bench",
        "settings": { "op_timeout": "10s", "enable_redirection": is_cluster },
        "prefix_routes": { "catch_all_route": { "cluster": "bench" } },
    });
    let filter = json!({ "name": "envoy.filters.network.redis_proxy", "typed_config": proxy });
    json!({ "static_resources": {
        "listeners": [{
            "name": "bench",
            "address": envoy_addr(&setting.listen),
            "filter_chains": [{ "filters": [filter] }],
        }],
        "clusters": [cluster],
    }})
}

fn envoy_addr(addr: &str) -> Value {
    let (ip, port) = addr.rsplit_once(':').unwrap_or((addr, "0"));
    let port: u16 = port.parse().unwrap_or_default();
    json!({ "socket_address": { "address": ip, "port_value": port } })
}
