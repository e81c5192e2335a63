"""Memcached libraries: their ordinary calls, a line a check with its name and whether it passed.

usage: memcached.py PORT LIBRARY     LIBRARY is pymemcache (text), bmemcached (binary) or meta_memcache (meta)
"""

import sys

PORT = int(sys.argv[1])
MANY = {f"many-{number}": f"value {number}".encode() for number in range(60)}
BINARY = bytes(range(256)) + b"\r\nEND\r\n"
LARGE = b"0123456789abcdef" * 60_000


def check(name, found, wanted=True):
    passed = found == wanted
    print(f"{name} [{'pass' if passed else f'FAIL: {found!r}'[:200]}]", flush=True)


def fails(name, kind, call, *args, **more):
    try:
        check(name, call(*args, **more), kind)
    except kind:
        check(name, True)


def pymemcache():
    from pymemcache.client.base import Client
    from pymemcache.exceptions import MemcacheClientError, MemcacheIllegalInputError, MemcacheServerError

    c = Client(("127.0.0.1", PORT), timeout=10, connect_timeout=10, no_delay=True)
    check("flush_all", c.flush_all(noreply=False))
    check("get of nothing", c.get("a"), None)
    check("get with default", c.get("a", b"x"), b"x")
    check("set", c.set("a", b"1", noreply=False))
    check("set without reply", c.set("a", b"2"))
    check("get", c.get("a"), b"2")
    check("set of bytes", c.set("bytes", BINARY, noreply=False))
    check("get of bytes", c.get("bytes"), BINARY)
    check("set of a large value", c.set("large", LARGE, noreply=False))
    check("get of a large value", c.get("large") == LARGE)
    fails("set of too large a value", MemcacheServerError, c.set, "large", b"x" * (2 << 20), noreply=False)
    check("add", c.add("new", b"1", noreply=False))
    check("add again", c.add("new", b"2", noreply=False), False)
    check("replace", c.replace("new", b"3", noreply=False))
    check("replace of nothing", c.replace("none", b"3", noreply=False), False)
    check("append", c.append("new", b"4", noreply=False))
    check("prepend", c.prepend("new", b"2", noreply=False))
    check("append of nothing", c.append("none", b"4", noreply=False), False)
    check("what was made of them", c.get("new"), b"234")
    value, token = c.gets("new")
    check("gets", value, b"234")
    check("gets of nothing", c.gets("none"), (None, None))
    check("cas", c.cas("new", b"5", token, noreply=False))
    check("cas with an old token", c.cas("new", b"6", token, noreply=False), False)
    check("cas of nothing", c.cas("none", b"6", token, noreply=False), None)
    check("incr of nothing", c.incr("number", 1), None)
    c.set("number", b"10", noreply=False)
    check("incr", c.incr("number", 5), 15)
    check("decr", c.decr("number", 20), 0)
    fails("incr of text", MemcacheClientError, c.incr, "bytes", 1)
    check("touch", c.touch("a", 1000, noreply=False))
    check("touch of nothing", c.touch("none", 1000, noreply=False), False)
    check("delete", c.delete("a", noreply=False))
    check("delete of nothing", c.delete("a", noreply=False), False)
    check("set_many", c.set_many(MANY, noreply=False), [])
    check("set_many without reply", c.set_many(MANY), [])
    check("get_many", c.get_many(list(MANY) + ["none"]), MANY)
    check("gets_many", {key: value for key, (value, _) in c.gets_many(list(MANY)).items()}, MANY)
    check("delete_many", c.delete_many(list(MANY)))
    check("get_many of nothing", c.get_many(list(MANY)), {})
    check("set that expires at once", c.set("old", b"x", expire=-1, noreply=False))
    check("get of what has expired", c.get("old"), None)
    check("set with flags", c.set("flags", b"x", flags=77, noreply=False))
    check("get of flags", c.get("flags"), b"x")
    check("longest key", c.set("k" * 250, b"x", noreply=False))
    fails("longer key", MemcacheIllegalInputError, c.get, "k" * 251)
    check("version", c.version() != b"")
    check("stats", b"pid" in c.stats())
    check("raw command", c.raw_command("mg flags v", "\r\n"), b"VA 1")
    c.quit()
    check("a connection after quit", c.get("flags"), b"x")


def bmemcached():
    from bmemcached import Client

    c = Client([f"127.0.0.1:{PORT}"], socket_timeout=10)
    check("flush_all", c.flush_all())
    check("get of nothing", c.get("a"), None)
    check("set", c.set("a", "1"))
    check("get", c.get("a"), "1")
    check("set of an object", c.set("object", {"a": [1, 2.5, None]}))
    check("get of an object", c.get("object"), {"a": [1, 2.5, None]})
    check("set of bytes", c.set("bytes", BINARY))
    check("get of bytes", c.get("bytes"), BINARY)
    check("set of a large value", c.set("large", LARGE, compress_level=0))
    check("get of a large value", c.get("large") == LARGE)
    check("add", c.add("new", "1"))
    check("add again", c.add("new", "2"), False)
    check("replace", c.replace("new", "3"))
    check("replace of nothing", c.replace("none", "3"), False)
    value, token = c.gets("new")
    check("gets", value, "3")
    check("cas", c.cas("new", "4", token))
    check("cas with an old token", c.cas("new", "5", token), False)
    check("get with cas", c.get("new", get_cas=True)[0], "4")
    check("incr from a start", c.incr("number", 1, default=7), 7)
    check("incr", c.incr("number", 5), 12)
    check("decr", c.decr("number", 20), 0)
    check("delete", c.delete("new"))
    check("delete of nothing", c.delete("new"), True)
    values = {key: value.decode() for key, value in MANY.items()}
    check("set_multi", c.set_multi(values), [])
    check("get_multi", c.get_multi(list(values) + ["none"]), values)
    check("get_multi with cas", {key: value for key, (value, _) in c.get_multi(list(values), get_cas=True).items()}, values)
    check("delete_multi", c.delete_multi(list(values)))
    check("get_multi of nothing", c.get_multi(list(values)), {})
    check("set for a while", c.set("while", "x", time=1000))
    check("get of it", c.get("while"), "x")
    check("longest key", c.set("k" * 250, "x") and c.get("k" * 250), "x")
    check("key with blanks", c.set("a b\r\n", "x") and c.get("a b\r\n"), "x")
    check("stats", [sorted(stats)[:0] for stats in c.stats().values()], [[]])
    c.disconnect_all()
    check("a connection after disconnect_all", c.get("while"), "x")


def meta_memcache():
    from meta_memcache import CacheClient, Key, ServerAddress, SetMode, connection_pool_factory_builder
    from meta_memcache.configuration import LeasePolicy

    c = CacheClient.cache_client_from_servers(
        servers=[ServerAddress("127.0.0.1", PORT)],
        connection_pool_factory_fn=connection_pool_factory_builder(recv_timeout=10, connection_timeout=10),
    )
    check("get of nothing", c.get("none"), None)
    check("set", c.set("a", "1", ttl=1000))
    check("set without reply", c.set("quiet", "q", ttl=1000, no_reply=True))
    check("get", c.get("a"), "1")
    check("get after set without reply", c.get("quiet"), "q")
    check("set of an object", c.set("object", {"a": [1, 2.5, None]}, ttl=1000))
    check("get of an object", c.get("object"), {"a": [1, 2.5, None]})
    check("set of bytes", c.set("bytes", BINARY, ttl=1000))
    check("get of bytes", c.get("bytes"), BINARY)
    check("set of a large value", c.set("large", LARGE, ttl=1000))
    check("get of a large value", c.get("large") == LARGE)
    check("add", c.set("new", "1", ttl=1000, set_mode=SetMode.ADD))
    check("add again", c.set("new", "2", ttl=1000, set_mode=SetMode.ADD), False)
    check("replace", c.set("new", "3", ttl=1000, set_mode=SetMode.REPLACE))
    check("append", c.set("new", b"4", ttl=1000, set_mode=SetMode.APPEND))
    check("prepend", c.set("new", b"2", ttl=1000, set_mode=SetMode.PREPEND))
    check("what was made of them", c.get("new"), "234")
    value, token = c.get_cas("new")
    check("get_cas", value, "234")
    check("set with a token", c.set("new", "5", ttl=1000, cas_token=token))
    check("set with an old token", c.set("new", "6", ttl=1000, cas_token=token), False)
    check("delete with an old token", c.delete("new", cas_token=token), False)
    check("touch", c.touch("new", ttl=2000))
    check("touch of nothing", c.touch("none", ttl=2000), False)
    check("delta from a start", c.delta_initialize_and_get("number", delta=1, initial_value=7, initial_ttl=1000), 7)
    check("delta", c.delta("number", delta=5))
    check("delta_and_get", c.delta_and_get("number", delta=-2), 10)
    check("delta of nothing", c.delta_and_get("none", delta=1), None)
    values = {key: value.decode() for key, value in MANY.items()}
    check("many sets", [c.set(key, value, ttl=1000) for key, value in values.items()], [True] * 60)
    found = c.multi_get(list(values) + ["none"])
    check("multi_get", {key.key: value for key, value in found.items()}, {**values, "none": None})
    check("key of any letters", c.set("schlüssel mit leerzeichen", "x", ttl=1000) and c.get("schlüssel mit leerzeichen"), "x")
    check("long key", c.set("k" * 400, "x", ttl=1000) and c.get("k" * 400), "x")
    check("key with a route", c.set(Key("b", routing_key="a"), "x", ttl=1000) and c.get(Key("b", routing_key="a")), "x")
    check("invalidate", c.invalidate("new"))
    check("get_or_lease of nothing", c.get_or_lease("leased", lease_policy=LeasePolicy(ttl=30, miss_retries=1, wait_backoff_factor=0)), None)
    check("set of what was leased", c.set("leased", "x", ttl=1000))
    check("get_or_lease", c.get_or_lease("leased", lease_policy=LeasePolicy()), "x")
    check("delete", c.delete("quiet"))
    check("delete without reply", c.delete("a", no_reply=True))
    check("get after delete without reply", c.get("a"), None)


{"pymemcache": pymemcache, "bmemcached": bmemcached, "meta_memcache": meta_memcache}[sys.argv[2]]()
