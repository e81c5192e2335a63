//! The keys about passwords, commands and certificates.

use crate::{
    manifest::table::{Table, Value},
    model::{AuthDraft, BackendAuthDraft, BackendTlsDraft, Draft, Secret, TlsDraft, UserDraft},
};

/// Reads them all.
pub(super) fn read(table: &mut Table<'_, '_>, draft: &mut Draft) {
    draft.auth = read_auth(table);
    draft.backend_auth = read_backend_auth(table);
    draft.redis_db = table.integer("redis_db", &[]);
    draft.allow = table.texts("allow", &[]);
    draft.deny = table.texts("deny", &[]);
    draft.tls = read_tls(table);
    draft.backend_tls = read_backend_tls(table);
}

/// `password`, `auth = "…"` and `auth.password` are the same.
fn read_auth(table: &mut Table<'_, '_>) -> Option<AuthDraft> {
    let short = table.value("auth.password", &["password"]);
    let password = short.and_then(|value| read_secret(table, "auth.password", value));
    let long = table.value("auth", &[]);
    if long.is_some_and(|value| value.get_ref().is_str()) {
        let other = long.and_then(|value| read_secret(table, "auth.password", value));
        return one_password(table, "auth.password", (password, other)).map(|password| AuthDraft {
            password: Some(password),
            users: Vec::new(),
        });
    }
    let Some(mut auth) = table.table("auth") else {
        return password.map(|password| AuthDraft {
            password: Some(password),
            users: Vec::new(),
        });
    };
    let value = auth.value("password", &[]);
    let other = value.and_then(|value| read_secret(&mut auth, "password", value));
    let users = read_users(&mut auth);
    auth.close();
    Some(AuthDraft {
        password: one_password(table, "auth.password", (password, other)),
        users,
    })
}

fn one_password(
    table: &mut Table<'_, '_>,
    field: &'static str,
    written: (Option<Secret>, Option<Secret>),
) -> Option<Secret> {
    let (short, long) = written;
    if short.is_some() && long.is_some() {
        let path = table.path(field);
        let place = table.findings.places.find(&path);
        let (_, span) = place.unwrap_or((0, 0..0));
        let message = format!("{field}: is written twice; write one of them");
        table.findings.fail(&span, message);
    }
    short.or(long)
}

fn read_users(auth: &mut Table<'_, '_>) -> Vec<UserDraft> {
    let mut users = Vec::new();
    for (index, value) in auth
        .array("users", &[])
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let path = auth.path(&format!("users[{index}]"));
        let Some(mut user) = Table::open(auth.findings, value, path) else {
            continue;
        };
        let password = user.value("password", &[]);
        users.push(UserDraft {
            username: user.text("username", &[]).unwrap_or_default(),
            password: password.and_then(|value| read_secret(&mut user, "password", value)),
            commands: user.texts("commands", &[]),
            keys: user.texts("keys", &[]),
        });
        user.close();
    }
    users
}

/// `backend_password`, `redis_auth` and `backend_auth.password` are the same.
fn read_backend_auth(table: &mut Table<'_, '_>) -> Option<BackendAuthDraft> {
    let field = "backend_auth.password";
    let short = table.value(field, &["backend_password", "redis_auth"]);
    // Files of old have an empty text where there is no password.
    let empty = short.is_some_and(|value| value.get_ref().as_str() == Some(""));
    if empty {
        table.warn(
            "backend_password",
            "is empty: nothing is presented upstream",
        );
        table.warn("redis_auth", "is empty: nothing is presented upstream");
    }
    let short = short.filter(|_| !empty);
    let password = short.and_then(|value| read_secret(table, field, value));
    let long = table.value("backend_auth", &[]);
    let (username, other) = match long {
        None => (None, None),
        Some(value) if value.get_ref().is_str() => (None, read_secret(table, field, value)),
        Some(_) => read_backend_table(table)?,
    };
    let password = one_password(table, field, (password, other));
    let written = password.is_some() || long.is_some();
    written.then_some(BackendAuthDraft { username, password })
}

fn read_backend_table(table: &mut Table<'_, '_>) -> Option<(Option<String>, Option<Secret>)> {
    let mut auth = table.table("backend_auth")?;
    let username = auth.text("username", &[]);
    let value = auth.value("password", &[]);
    let password = value.and_then(|value| read_secret(&mut auth, "password", value));
    auth.close();
    Some((username.filter(|username| !username.is_empty()), password))
}

/// Reads a text, or `{ plain = … }`, `{ file = … }`, `{ env = … }`.
fn read_secret(table: &mut Table<'_, '_>, field: &str, value: &Value<'_>) -> Option<Secret> {
    if let Some(text) = value.get_ref().as_str() {
        return Some(Secret::from_written(text));
    }
    let entries = value.get_ref().as_table();
    let one = entries.filter(|entries| entries.len() == 1);
    let one = one.and_then(|entries| entries.iter().next());
    let text = one.and_then(|(key, text)| Some((key.get_ref().as_ref(), text.get_ref().as_str()?)));
    match text {
        Some(("plain", text)) => Some(Secret::Plain(text.to_owned())),
        Some(("file", path)) => Some(Secret::File(path.into())),
        Some(("env", name)) => Some(Secret::Env(name.to_owned())),
        _ => {
            let message = "expected a string, or one of { plain }, { file }, { env }".to_owned();
            table.fail(field, value, message);
            None
        }
    }
}

fn read_tls(table: &mut Table<'_, '_>) -> Option<TlsDraft> {
    let mut tls = table.table("tls")?;
    let draft = TlsDraft {
        cert: tls.text("cert", &[]).unwrap_or_default(),
        key: tls.text("key", &[]).unwrap_or_default(),
        client_ca: tls.text("client_ca", &[]).unwrap_or_default(),
    };
    tls.close();
    Some(draft)
}

fn read_backend_tls(table: &mut Table<'_, '_>) -> Option<BackendTlsDraft> {
    let mut tls = table.table("backend_tls")?;
    let draft = BackendTlsDraft {
        ca: tls.text("ca", &[]).unwrap_or_default(),
        cert: tls.text("cert", &[]).unwrap_or_default(),
        key: tls.text("key", &[]).unwrap_or_default(),
        server_name: tls.text("server_name", &[]).unwrap_or_default(),
    };
    tls.close();
    Some(draft)
}
