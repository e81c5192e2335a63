//! Users, their rules and denied commands change while clients are connected; passwords are shown nowhere.

use std::time::Duration;

use prism_tests::{
    definitions, ports,
    programs::{ControlPlane, DataPlane, http_get},
    raw::Raw,
    redis::Redis,
    wait,
};

use crate::{
    access::{User, auth},
    pool::servers,
};

const LIMIT: Duration = Duration::from_secs(10);

/// A pool of one endpoint whose users can be changed.
struct Changing {
    data_plane: DataPlane,
    listen: String,
    servers: Vec<String>,
    _endpoint: Redis,
}

impl Changing {
    fn start(more: &str) -> Self {
        let (endpoint, listen) = (Redis::start(), ports::free_addr());
        let servers = servers(std::slice::from_ref(&endpoint));
        let text = definitions::redis("pool", &listen, &servers, more);
        Self {
            data_plane: DataPlane::bootstrap(&text),
            listen,
            servers,
            _endpoint: endpoint,
        }
    }

    fn change(&self, more: &str) {
        let text = definitions::redis("pool", &self.listen, &self.servers, more);
        self.data_plane.rewrite(&text);
    }

    #[track_caller]
    fn client(&self, user: &str, password: &str) -> Raw {
        let mut client = Raw::connect(&self.listen);
        assert_eq!(client.call(&["AUTH", user, password]), b"+OK\r\n");
        client
    }
}

const READER: User = ("reader", "one", &["+@all"], &["%R~*"]);

#[test]
fn changed_rules_apply_to_the_next_request() {
    let pool = Changing::start(&auth(&[READER], "root"));
    let (mut reader, mut root) = (pool.client("reader", "one"), pool.client("default", "root"));
    assert!(reader.ask("SET a 1").starts_with("-NOPERM"));
    pool.change(&auth(&[("reader", "one", &["+@all"], &["~*"])], "root"));
    wait::until("the user may write", LIMIT, || {
        reader.ask("SET a 1") == "+OK"
    });
    pool.change(&auth(&[("reader", "one", &["+get"], &["~*"])], "root"));
    wait::until("the user may not write any more", LIMIT, || {
        reader.ask("SET a 2").starts_with("-NOPERM")
    });
    assert_eq!(reader.ask("GET a"), root.ask("GET a"));
}

#[test]
fn client_leaves_with_its_user_or_password() {
    let other: User = ("other", "two", &["+@all"], &["~*"]);
    let pool = Changing::start(&auth(&[READER, other], "root"));
    let [mut gone, mut renewed, mut root] = [
        pool.client("reader", "one"),
        pool.client("other", "two"),
        pool.client("default", "root"),
    ];
    pool.change(&auth(&[other], "root"));
    assert!(gone.is_closed_within(LIMIT), "its user is gone");
    assert_eq!(renewed.ask("PING"), "+PONG");
    pool.change(&auth(&[("other", "three", &["+@all"], &["~*"])], "root"));
    assert!(renewed.is_closed_within(LIMIT), "its password is another");
    assert_eq!(root.ask("PING"), "+PONG");
    let mut late = Raw::connect(&pool.listen);
    assert!(late.ask("AUTH other two").starts_with("-WRONGPASS"));
    assert_eq!(late.ask("AUTH other three"), "+OK");
    pool.change(&auth(&[], "root2"));
    assert!(
        root.is_closed_within(LIMIT),
        "the password of all is another"
    );
    assert!(late.is_closed_within(LIMIT), "the last user is gone");
    assert_eq!(pool.client("default", "root2").ask("PING"), "+PONG");
}

#[test]
fn users_without_a_default_password_are_asked_of_everybody() {
    let pool = Changing::start(
        "auth = { users = [{ username = \"app\", password = \"pw\", commands = [\"+@all\"] }] }",
    );
    let mut client = Raw::connect(&pool.listen);
    assert!(client.ask("PING").starts_with("-NOAUTH"));
    assert!(client.ask("AUTH pw").starts_with("-WRONGPASS"));
    assert_eq!(client.ask("AUTH app pw"), "+OK");
    assert_eq!(client.ask("ACL WHOAMI"), "$3\r\napp");
    assert_eq!(client.ask("RESET"), "+RESET");
    assert!(client.ask("PING").starts_with("-NOAUTH"));
}

#[test]
fn denied_commands_are_refused_by_name_and_not_listed() {
    let pool = Changing::start("deny = [\"@dangerous\", \"config|get\", \"strlen\"]");
    let mut client = Raw::connect(&pool.listen);
    assert_eq!(
        client.ask("STRLEN a"),
        "-ERR prism: 'strlen' is denied on this cluster"
    );
    assert_eq!(
        client.ask("KEYS *"),
        "-ERR prism: 'keys' is denied on this cluster"
    );
    assert_eq!(client.ask("SET a 1"), "+OK");
    assert_eq!(client.ask("COMMAND INFO strlen"), "*1\r\n$-1");
    assert!(client.ask("COMMAND INFO get").contains("get"));
    let listed = client.ask("COMMAND LIST");
    assert!(listed.contains("\r\nget\r\n") && !listed.contains("\r\nstrlen\r\n"));
    pool.change("allow = [\"get\", \"@connection\"]");
    wait::until("only what is allowed is served", LIMIT, || {
        client.ask("SET a 2").contains("'set' is denied")
    });
    assert!(client.ask("GET a").starts_with("$1"));
    assert_eq!(client.ask("PING"), "+PONG");
    pool.change("");
    wait::until("everything is served again", LIMIT, || {
        client.ask("SET a 2") == "+OK"
    });
}

#[test]
fn passwords_are_shown_nowhere() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let file = folder.path().join("secret");
    std::fs::write(&file, "hidden-file\n").expect("writable");
    let user = format!(
        "{{ username = \"app\", password = \"file:{}\", commands = [\"+@all\"], keys = [\"~*\"] }}",
        file.display()
    );
    let owner = "{ username = \"owner\", password = \"hidden-owner\", commands = [\"+@all\"] }";
    let mut pool = Changing::start(&format!(
        "auth = {{ password = \"hidden-root\", users = [{user}, {owner}] }}"
    ));
    let mut client = pool.client("app", "hidden-file");
    let mut said = String::new();
    for words in ["ACL LIST", "ACL GETUSER owner", "ACL USERS", "CLIENT INFO"] {
        said.push_str(&client.ask(words));
    }
    assert!(said.contains("owner"));
    said.push_str(&Raw::connect(&pool.listen).ask("AUTH app hidden-other"));
    for page in ["/config", "/metrics", "/readyz"] {
        said.push_str(
            &http_get(pool.data_plane.admin(), page)
                .expect("admin answers")
                .1,
        );
    }
    said.push_str(&pool.data_plane.process().log());
    assert!(!said.contains("hidden-"), "{said}");
}

#[test]
fn control_plane_delivers_users_and_shows_no_password() {
    let (control, endpoint, listen) = (ControlPlane::start(), Redis::start(), ports::free_addr());
    let servers = servers(std::slice::from_ref(&endpoint));
    let define = |password: &'static str, rules: &'static [&'static str]| {
        let users: [User; 1] = [("app", password, rules, &["~app:*"])];
        definitions::redis("pool", &listen, &servers, &auth(&users, "hidden-root"))
    };
    let mut said = String::new();
    let mut run = |arguments: &[&str], input: &str| {
        let output = control.ctl_with(arguments, input);
        said.push_str(&output.stdout);
        said.push_str(&output.stderr);
        output.stdout
    };
    run(&["apply", "-f", "-"], &define("hidden-one", &["+@all"]));
    let data_plane = DataPlane::follow(&control, "dp-1");
    data_plane.wait_ready();
    let mut client = Raw::connect(&listen);
    assert_eq!(client.ask("AUTH app hidden-one"), "+OK");
    assert_eq!(client.ask("SET app:1 1"), "+OK");
    let shown = run(&["get", "clusters", "-o", "toml"], "");
    assert!(
        shown.contains("secret:") && shown.contains("~app:*"),
        "{shown}"
    );
    let unchanged = control.ctl_with(&["diff", "-f", "-"], &shown);
    assert_eq!(unchanged.code, 0, "{unchanged:#?}");
    run(&["diff", "-f", "-"], &define("hidden-two", &["+get"]));
    run(&["describe", "cluster", "pool"], "");
    run(
        &["apply", "-f", "-", "--wait"],
        &define("hidden-one", &["+get"]),
    );
    assert!(client.ask("SET app:1 2").starts_with("-NOPERM"));
    run(
        &["apply", "-f", "-", "--wait"],
        &define("hidden-two", &["+get"]),
    );
    assert!(client.is_closed_within(LIMIT), "its password is another");
    assert!(!said.contains("hidden-"), "{said}");
}

#[test]
fn subscriber_leaves_when_its_rules_about_channels_change() {
    let news: User = ("news", "one", &["+@all"], &["~*", "&news:*"]);
    let pool = Changing::start(&auth(&[news], "root"));
    let [mut listening, mut quiet, mut root] = [
        pool.client("news", "one"),
        pool.client("news", "one"),
        pool.client("default", "root"),
    ];
    assert!(listening.ask("SUBSCRIBE other").starts_with("-NOPERM"));
    assert!(listening.ask("SUBSCRIBE news:a").starts_with("*3"));
    assert!(root.ask("SUBSCRIBE news:a").starts_with("*3"));
    pool.change(&auth(
        &[("news", "one", &["+@all"], &["~*", "&old:*"])],
        "root",
    ));
    assert!(
        listening.is_closed_within(LIMIT),
        "it listens to what it may not"
    );
    assert!(quiet.ask("SUBSCRIBE news:a").starts_with("-NOPERM"));
    let sent = pool.client("default", "root").ask("PUBLISH news:a x");
    assert!(sent.starts_with(':'), "{sent}");
    assert!(root.reply().starts_with(b"*3\r\n$7\r\nmessage\r\n"));
}

#[test]
fn another_user_starts_without_subscriptions() {
    let news: User = ("news", "one", &["+@all"], &["~*", "&news:*"]);
    let pool = Changing::start(&auth(&[news], "root"));
    let mut client = pool.client("news", "one");
    assert!(client.ask("HELLO 3").starts_with('%'));
    assert!(client.ask("SUBSCRIBE news:a").starts_with('>'));
    assert_eq!(client.ask("AUTH news one"), "+OK");
    client.send(b"PUBLISH news:a x\r\n");
    let mut replies = [client.reply(), client.reply()];
    replies.sort();
    assert!(
        replies[1].starts_with(b">3\r\n$7\r\nmessage"),
        "it is the same user"
    );
    assert_eq!(client.ask("AUTH default root"), "+OK");
    let mut other = pool.client("default", "root");
    wait::until("nobody listens", LIMIT, || {
        other.ask("PUBLISH news:a x") == ":0"
    });
    assert_eq!(client.ask("PING"), "+PONG");
}
