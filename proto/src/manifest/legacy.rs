//! Keys of aster, twemproxy and earlier Prism: mapped, or accepted with a word on what replaces them.

use toml::de::DeValue;

use crate::{
    manifest::{
        table::{Table, Value},
        unit::Unit,
    },
    model::{Draft, ReadPolicy},
};

/// Tuning keys that mean nothing any more, and what replaces them.
const IGNORED: [(&str, &str); 4] = [
    (
        "backend_resp_version",
        "is ignored: the dialect upstream follows the client",
    ),
    (
        "preconnect",
        "is ignored: connections are opened when first needed",
    ),
    (
        "redis_ping_interval_secs",
        "is ignored: endpoints are probed every ping_interval",
    ),
    (
        "thread",
        "is ignored: workers are per data plane, see --workers",
    ),
];

/// Keys that change answers and that no version implements; harmless while empty or off.
const REFUSED: [&str; 5] = [
    "command_rename",
    "read_only_servers",
    "read_slaves",
    "require_master_auth",
    "slaves_for_read",
];

/// Reads them all into `draft`, which holds what the keys of today say.
pub(super) fn read(table: &mut Table<'_, '_>, draft: &mut Draft) {
    for (key, replacement) in IGNORED {
        table.ignore(key, replacement);
    }
    for key in REFUSED {
        if let Some(value) = table.value(key, &[]).filter(|value| !is_off(value)) {
            table.fail(key, value, "not supported by this version".to_owned());
        }
    }
    read_listen_proto(table, draft);
    read_read_policy(table, draft);
    read_twemproxy(table, draft);
}

fn is_off(value: &Value<'_>) -> bool {
    match value.get_ref() {
        DeValue::Array(array) => array.is_empty(),
        DeValue::Boolean(on) => !on,
        DeValue::Table(table) => table.is_empty(),
        _ => false,
    }
}

fn read_listen_proto(table: &mut Table<'_, '_>, draft: &mut Draft) {
    let Some(value) = table.value("listen_proto", &[]) else {
        return;
    };
    let is_unix = draft.listen_addr.starts_with("unix:");
    match value.get_ref().as_str() {
        Some("unix") if draft.listen_addr.starts_with('/') => {
            draft.listen_addr.insert_str(0, "unix:");
        }
        Some("unix") if is_unix => {}
        Some("tcp" | "tcp4" | "tcp6") if !is_unix => {}
        Some("tcp" | "unix") => {
            let message = format!("does not fit listen_addr `{}`", draft.listen_addr);
            table.fail("listen_proto", value, message);
        }
        _ => table.fail("listen_proto", value, "expected tcp or unix".to_owned()),
    }
}

fn read_read_policy(table: &mut Table<'_, '_>, draft: &mut Draft) {
    let keys = ["read_from_slave", "read_from_slave_enabled"];
    let written = draft.read_policy.is_some();
    if let Some(true) = table.boolean("read_policy", &keys)
        && !written
    {
        draft.read_policy = Some(ReadPolicy::PreferReplica);
    }
    if let Some(value) = table.value("read_pref", &[])
        && !matches!(value.get_ref().as_str(), Some("master" | "primary" | ""))
    {
        table.fail(
            "read_pref",
            value,
            "not supported by this version".to_owned(),
        );
    }
}

fn read_twemproxy(table: &mut Table<'_, '_>, draft: &mut Draft) {
    let keys = ["server_retry_timeout", "server_retry_interval"];
    let retry = table.duration("ping_succ_window", &keys, Unit::Milliseconds);
    draft.ping_succ_window = draft.ping_succ_window.or(retry);
    for key in keys {
        table.warn(
            key,
            "is read as ping_succ_window: how long an endpoint must answer before it returns",
        );
    }
    table.warn("server_failure_limit", "is read as ping_fail_limit");
    match table.boolean("auto_eject_hosts", &[]) {
        None => {}
        Some(true) => {
            draft.max_ejection_percent = draft.max_ejection_percent.or(Some(100));
            draft.no_panic = draft.no_panic.or(Some(true));
            let message = "is read as max_ejection_percent = 100 and no_panic = true: every endpoint may be ejected";
            table.warn("auto_eject_hosts", message);
        }
        Some(false) => {
            draft.ping_fail_limit = Some(0);
            table.warn(
                "auto_eject_hosts",
                "is read as ping_fail_limit = 0: no endpoint is ejected",
            );
        }
    }
}
