//! Definitions as a file: read again, it says the same.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use toml::Value;

use crate::{
    manifest::unit::Unit,
    model::{
        AuthDraft, ClusterSpec, Draft, EndpointDraft, Secret, SlowlogThreshold, UserDraft, Word,
    },
};

/// Writes definitions as their authors wrote them, secrets in the clear unless redacted before.
pub fn render<'a>(specs: impl IntoIterator<Item = &'a ClusterSpec>) -> String {
    render_drafts(specs.into_iter().map(ClusterSpec::draft))
}

/// Writes drafts, such as redacted ones.
pub fn render_drafts<'a>(drafts: impl IntoIterator<Item = &'a Draft>) -> String {
    let mut file = String::new();
    for draft in drafts {
        if !file.is_empty() {
            file.push('\n');
        }
        let mut lines = Lines(String::from("[[clusters]]\n"));
        lines.cluster(draft);
        file.push_str(&lines.0);
    }
    file
}

/// The lines of one cluster.
struct Lines(String);

impl Lines {
    fn cluster(&mut self, draft: &Draft) {
        self.put("name", Some(text(&draft.name)));
        self.put("listen_addr", Some(text(&draft.listen_addr)));
        self.word("cache_type", draft.cache_type);
        self.endpoints(&draft.endpoints);
        self.texts("dataplanes", &draft.selector.dataplanes);
        self.map("labels", &draft.selector.labels);
        self.map("meta_labels", &draft.labels);
        self.map("annotations", &draft.annotations);
        self.word("rollout", draft.rollout);
        self.word("hash", draft.hash);
        self.word("distribution", draft.distribution);
        self.put("hash_tag", draft.hash_tag.as_deref().map(text));
        self.word("hash_bytes", draft.hash_bytes);
        self.word("ketama_float", draft.ketama_float);
        self.times(draft);
        self.limits(draft);
        self.policies(draft);
        self.access(draft);
        self.tuning(draft);
    }

    fn put(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.0.push_str(&format!("{key} = {value}\n"));
        }
    }

    fn word(&mut self, key: &str, choice: Option<impl Word>) {
        self.put(key, choice.map(|choice| text(choice.word())));
    }

    fn time(&mut self, key: &str, duration: Option<Duration>) {
        let shown = duration.map(|duration| Unit::Milliseconds.show(duration));
        self.put(key, shown);
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        let list = || {
            texts
                .iter()
                .map(|each| text(each))
                .collect::<Vec<_>>()
                .join(", ")
        };
        self.put(key, (!texts.is_empty()).then(|| format!("[{}]", list())));
    }

    fn map(&mut self, key: &str, map: &BTreeMap<String, String>) {
        let entry = |(key, value): (&String, &String)| format!("{} = {}", text(key), text(value));
        let shown = || inline(map.iter().map(entry));
        self.put(key, (!map.is_empty()).then(shown));
    }

    fn endpoints(&mut self, endpoints: &[EndpointDraft]) {
        let lines: Vec<_> = endpoints.iter().map(endpoint).collect();
        self.put("servers", Some(format!("[\n{}]", lines.concat())));
    }

    fn times(&mut self, draft: &Draft) {
        self.time("read_timeout", draft.read_timeout);
        self.time("write_timeout", draft.write_timeout);
        self.time("dead_after", draft.dead_after);
        self.time("dial_timeout", draft.dial_timeout);
        self.time("idle_timeout", draft.idle_timeout);
        let keepalive = draft.tcp_keepalive.map(|time| Unit::Seconds.show(time));
        self.put("tcp_keepalive_secs", keepalive);
        self.time("fetch_interval", draft.fetch_interval);
        self.time("fetch_since_latest_cmd", draft.fetch_min_interval);
        self.time("max_replica_lag", draft.max_replica_lag);
        self.time("ping_interval", draft.ping_interval);
        self.time("ping_succ_interval", draft.ping_succ_interval);
        self.time("ping_timeout", draft.ping_timeout);
        self.time("ping_succ_window", draft.ping_succ_window);
    }

    fn limits(&mut self, draft: &Draft) {
        self.put("node_connections", draft.node_connections);
        self.put("max_clients", draft.max_clients);
        self.put("max_pending", draft.max_pending);
        self.put("max_pending_bytes", draft.max_pending_bytes);
        self.put("client_buffer_bytes", draft.client_buffer_bytes);
        self.put("max_leases", draft.max_leases);
        self.put("retry_budget_percent", draft.retry_budget_percent);
        self.put("max_request_bytes", draft.max_request_bytes);
        self.put("max_reply_bytes", draft.max_reply_bytes);
    }

    fn policies(&mut self, draft: &Draft) {
        self.word("read_policy", draft.read_policy);
        self.word("multi_key_policy", draft.multi_key_policy);
        self.put("ping_fail_limit", draft.ping_fail_limit);
        self.put("ping_succ_limit", draft.ping_succ_limit);
        self.word("on_ejection", draft.on_ejection);
        self.word("on_readmit", draft.on_readmit);
        self.put("max_ejection_percent", draft.max_ejection_percent);
        self.put("no_panic", draft.no_panic);
    }

    fn access(&mut self, draft: &Draft) {
        if let Some(auth) = &draft.auth {
            self.auth(auth);
        }
        if let Some(auth) = &draft.backend_auth {
            let username = auth.username.as_deref().map(text);
            let password = auth.password.as_ref().map(secret);
            match (username, password) {
                (None, Some(password)) => self.put("backend_password", Some(password)),
                (username, password) => {
                    let parts = [("username", username), ("password", password)];
                    self.put("backend_auth", Some(written(parts)));
                }
            }
        }
        self.put("redis_db", draft.redis_db);
        self.texts("allow", &draft.allow);
        self.texts("deny", &draft.deny);
        if let Some(tls) = &draft.tls {
            let parts = [
                ("cert", &tls.cert),
                ("key", &tls.key),
                ("client_ca", &tls.client_ca),
            ];
            self.put("tls", Some(paths(&parts)));
        }
        if let Some(tls) = &draft.backend_tls {
            let (ca, cert, key) = (&tls.ca, &tls.cert, &tls.key);
            let parts = [
                ("ca", ca),
                ("cert", cert),
                ("key", key),
                ("server_name", &tls.server_name),
            ];
            self.put("backend_tls", Some(paths(&parts)));
        }
    }

    fn auth(&mut self, auth: &AuthDraft) {
        let password = auth.password.as_ref().map(secret);
        if auth.users.is_empty() && password.is_some() {
            self.put("password", password);
            return;
        }
        let user = |user: &UserDraft| {
            let list = |texts: &[String]| {
                let texts: Vec<_> = texts.iter().map(|each| text(each)).collect();
                (!texts.is_empty()).then(|| format!("[{}]", texts.join(", ")))
            };
            written([
                ("username", Some(text(&user.username))),
                ("password", user.password.as_ref().map(secret)),
                ("commands", list(&user.commands)),
                ("keys", list(&user.keys)),
            ])
        };
        let users: Vec<_> = auth.users.iter().map(user).collect();
        let users = (!users.is_empty()).then(|| format!("[{}]", users.join(", ")));
        self.put(
            "auth",
            Some(written([("password", password), ("users", users)])),
        );
    }

    fn tuning(&mut self, draft: &Draft) {
        let threshold = draft.slowlog_slower_than.map(|threshold| match threshold {
            SlowlogThreshold::Off => "-1".to_owned(),
            SlowlogThreshold::SlowerThan(threshold) => Unit::Microseconds.show(threshold),
        });
        self.put("slowlog_log_slower_than", threshold);
        self.put("slowlog_max_len", draft.slowlog_max_len);
        self.put("hotkey_sample_every", draft.hot_keys.sample_every);
        self.put("hotkey_sketch_width", draft.hot_keys.sketch_width);
        self.put("hotkey_sketch_depth", draft.hot_keys.sketch_depth);
        self.put("hotkey_capacity", draft.hot_keys.capacity);
        self.put("hotkey_decay", draft.hot_keys.decay.map(float));
        if let Some(cache) = &draft.client_cache {
            let parts = [
                ("enabled", Some(cache.enabled.to_string())),
                (
                    "max_entries",
                    cache.max_entries.map(|count| count.to_string()),
                ),
                (
                    "max_value_bytes",
                    cache.max_value_bytes.map(|size| size.to_string()),
                ),
            ];
            self.put("client_cache", Some(written(parts)));
        }
        if let Some(backup) = &draft.backup_request {
            let trigger = backup
                .trigger_slow
                .map(|time| Unit::Milliseconds.show(time));
            let parts = [
                ("enabled", Some(backup.enabled.to_string())),
                ("trigger_slow_ms", trigger),
                ("multiplier", backup.multiplier.map(float)),
            ];
            self.put("backup_request", Some(written(parts)));
        }
        self.put("join_gets", draft.join_gets);
    }
}

/// Quotes a text on one line, so that it can be a key too.
fn text(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn float(number: f64) -> String {
    Value::Float(number).to_string()
}

fn inline(entries: impl Iterator<Item = String>) -> String {
    format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
}

/// Writes an inline table of what is written.
fn written<const N: usize>(parts: [(&str, Option<String>); N]) -> String {
    let entry = |(key, value): (&str, Option<String>)| Some(format!("{key} = {}", value?));
    inline(parts.into_iter().filter_map(entry))
}

fn paths(parts: &[(&str, &String)]) -> String {
    let entries = parts.iter().filter(|(_, path)| !path.is_empty());
    inline(entries.map(|(key, path)| format!("{key} = {}", text(path))))
}

fn secret(secret: &Secret) -> String {
    match secret {
        Secret::Env(name) => text(&format!("env:{name}")),
        Secret::File(path) => text(&format!("file:{}", path.display())),
        Secret::Plain(plain) if *secret == Secret::from_written(plain) => text(plain),
        Secret::Plain(plain) => written([("plain", Some(text(plain)))]),
        Secret::Unchanged(shown) => text(shown),
    }
}

/// Writes `addr[:weight] [alias]` where that says it all.
fn endpoint(endpoint: &EndpointDraft) -> String {
    let EndpointDraft {
        addr,
        weight,
        alias,
        zone,
        replica_of,
    } = endpoint;
    let is_plain = addr.split_whitespace().eq([addr.as_str()]) && !addr.starts_with("unix:");
    if zone.is_none() && replica_of.is_none() && is_plain {
        let weight = weight
            .map(|weight| format!(":{weight}"))
            .unwrap_or_default();
        let alias = alias
            .as_ref()
            .map(|alias| format!(" {alias}"))
            .unwrap_or_default();
        return format!("    {},\n", text(&format!("{addr}{weight}{alias}")));
    }
    let parts = written([
        ("addr", Some(text(addr))),
        ("weight", weight.map(|weight| weight.to_string())),
        ("alias", alias.as_deref().map(text)),
        ("zone", zone.as_deref().map(text)),
        ("replica_of", replica_of.as_deref().map(text)),
    ]);
    format!("    {parts},\n")
}
