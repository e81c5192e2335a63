//! A member of a pool as its placement sees it, and the name and order it is placed by.

use std::borrow::Cow;

/// One shard of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Address as written: `host:port`, or `unix:/path`.
    pub host: String,
    /// Name on the ring, when the definition gives one.
    pub alias: Option<String>,
    /// Share of keys against the other shards; 0 takes none.
    pub weight: u32,
    /// Whether it takes keys now: not ejected.
    pub live: bool,
}

impl Shard {
    /// The name that sorts this shard and makes its points.
    ///
    /// The alias, if there is one; else the address, but without the port when that is 11211. A unix socket is named as
    /// twemproxy does it: its path and the colon that stands before the weight.
    pub(super) fn name(&self) -> Cow<'_, str> {
        if let Some(alias) = &self.alias {
            return Cow::Borrowed(alias);
        }
        if let Some(path) = self.host.strip_prefix("unix:") {
            return Cow::Owned(format!("{path}:"));
        }
        Cow::Borrowed(self.host.strip_suffix(":11211").unwrap_or(&self.host))
    }
}

/// A shard that takes keys, by its place in the pool's definition.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// Index into the shards as given.
    pub(super) index: u32,
    /// Name on the ring.
    pub(super) name: Cow<'a, str>,
    /// At least 1.
    pub(super) weight: u32,
}

/// The shards that take keys, shorter names first, names of one length in byte order.
pub(super) fn members(shards: &[Shard]) -> Vec<Member<'_>> {
    let mut members: Vec<Member<'_>> = (0u32..)
        .zip(shards)
        .filter(|(_, shard)| shard.live && shard.weight > 0)
        .map(|(index, shard)| Member {
            index,
            name: shard.name(),
            weight: shard.weight,
        })
        .collect();
    members.sort_by(|a, b| {
        a.name
            .len()
            .cmp(&b.name.len())
            .then_with(|| a.name.cmp(&b.name))
    });
    members
}

#[cfg(test)]
mod tests {
    use super::{Shard, members};

    fn shard(host: &str) -> Shard {
        Shard {
            host: host.to_owned(),
            alias: None,
            weight: 1,
            live: true,
        }
    }

    fn names(shards: &[Shard]) -> Vec<String> {
        members(shards)
            .into_iter()
            .map(|member| member.name.into_owned())
            .collect()
    }

    #[test]
    fn shorter_names_come_first_then_byte_order() {
        let by_name = names(&[shard("aa"), shard("c"), shard("b")]);
        assert_eq!(by_name, ["b", "c", "aa"]);
        let numbered = names(&[shard("redis-10"), shard("redis-2"), shard("redis-1")]);
        assert_eq!(numbered, ["redis-1", "redis-2", "redis-10"]);
        let addresses = names(&[shard("127.0.0.1:6379"), shard("10.0.0.2:6379")]);
        assert_eq!(addresses, ["10.0.0.2:6379", "127.0.0.1:6379"]);
    }

    #[test]
    fn order_keeps_the_index_as_given() {
        let shards = [shard("aa"), shard("c"), shard("b")];
        let indexes: Vec<u32> = members(&shards).iter().map(|member| member.index).collect();
        assert_eq!(indexes, [2, 1, 0]);
    }

    #[test]
    fn port_11211_is_not_part_of_the_name() {
        assert_eq!(shard("10.0.0.1:11211").name(), "10.0.0.1");
        assert_eq!(shard("10.0.0.1:11212").name(), "10.0.0.1:11212");
        assert_eq!(shard("10.0.0.1:1").name(), "10.0.0.1:1");
    }

    #[test]
    fn alias_is_the_name_whatever_the_port() {
        let aliased = Shard {
            alias: Some("mc-1".to_owned()),
            ..shard("10.0.0.1:11211")
        };
        assert_eq!(aliased.name(), "mc-1");
    }

    #[test]
    fn unix_socket_is_named_by_path_and_colon() {
        assert_eq!(shard("unix:/run/redis.sock").name(), "/run/redis.sock:");
    }

    #[test]
    fn ejected_and_weightless_shards_take_no_keys() {
        let ejected = Shard {
            live: false,
            ..shard("a")
        };
        let weightless = Shard {
            weight: 0,
            ..shard("b")
        };
        assert_eq!(names(&[ejected, weightless, shard("c")]), ["c"]);
    }
}
