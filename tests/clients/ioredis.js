// ioredis: its ordinary groups of commands, with their results asserted.
// usage: node ioredis.js PORT PROTOCOL     PROTOCOL is 2, 3, or 0 for the library's default
const { deepStrictEqual: same, rejects } = require("assert");
const Redis = require("ioredis");

const [port, protocol] = process.argv.slice(2);
const options = { host: "127.0.0.1", port: Number(port), connectionName: "tests" };
if (protocol !== "0") options.protocol = Number(protocol);

const groups = {
  async session(r) {
    same(await r.ping(), "PONG");
    same(await r.echo("hello"), "hello");
    same(await r.client("GETNAME"), "tests");
    same(/loading:0/.test(await r.info()), true);
    same((await r.time()).length, 2);
    same((await r.command("COUNT")) > 100, true);
    same(await r.select(0), "OK");
    await rejects(r.call("NOSUCH", "a"), /unknown command/);
  },
  async strings(r) {
    same(await r.set("s", "v"), "OK");
    same(await r.set("s", "w", "NX"), null);
    same(await r.set("s", "w", "EX", 100, "GET"), "v");
    same(await r.append("s", "x"), 2);
    same(await r.getrange("s", 0, 0), "w");
    same(await r.set("n", 1), "OK");
    same(await r.incrby("n", 5), 6);
    same(await r.incrbyfloat("n", 0.5), "6.5");
    same(await r.getdel("n"), "6.5");
    const many = Object.fromEntries([...Array(50).keys()].map((n) => [`m${n}`, `${n}`]));
    same(await r.mset(many), "OK");
    same(await r.mget(...Object.keys(many), "none"), [...Object.values(many), null]);
    same(await r.exists(...Object.keys(many), "m0"), 51);
    same(await r.del(...Object.keys(many)), 50);
    same(await r.getBuffer("s"), Buffer.from("wx"));
    same(await r.set(Buffer.from([0, 255]), Buffer.from([13, 10, 0])), "OK");
    same(await r.getBuffer(Buffer.from([0, 255])), Buffer.from([13, 10, 0]));
    await rejects(r.lpush("s", "x"), /WRONGTYPE/);
  },
  async bitmaps(r) {
    same(await r.setbit("{b}1", 7, 1), 0);
    same(await r.setbit("{b}2", 0, 1), 0);
    same(await r.bitop("OR", "{b}3", "{b}1", "{b}2"), 1);
    same(await r.bitcount("{b}3"), 2);
    same(await r.bitpos("{b}3", 1), 0);
    same(await r.bitfield("{b}4", "SET", "u8", 0, 200, "INCRBY", "u8", 0, 100), [0, 44]);
  },
  async keys(r) {
    same(await r.set("{k}a", 1), "OK");
    same(await r.expire("{k}a", 100), 1);
    same((await r.ttl("{k}a")) > 90, true);
    same(await r.persist("{k}a"), 1);
    same(await r.type("{k}a"), "string");
    same(await r.rename("{k}a", "{k}b"), "OK");
    same(await r.copy("{k}b", "{k}c"), 1);
    same(await r.object("ENCODING", "{k}c"), "int");
    same(await r.restore("{k}d", 0, await r.dumpBuffer("{k}c")), "OK");
    same(await r.unlink("{k}b", "{k}c", "{k}d", "{k}e"), 3);
  },
  async hashes(r) {
    same(await r.hset("h", { a: 1, b: 2 }), 2);
    same(await r.hgetall("h"), Object.assign({}, { a: "1", b: "2" }));
    same(await r.hmget("h", "a", "none"), ["1", null]);
    same(await r.hincrby("h", "a", 4), 5);
    same((await r.hkeys("h")).sort(), ["a", "b"]);
    same((await r.hscan("h", 0))[1], ["a", "5", "b", "2"]);
    same(await r.hdel("h", "a", "b", "c"), 2);
  },
  async lists(r) {
    same(await r.rpush("{l}1", "a", "b", "c"), 3);
    same(await r.lrange("{l}1", 0, -1), ["a", "b", "c"]);
    same(await r.linsert("{l}1", "BEFORE", "b", "x"), 4);
    same(await r.lmove("{l}1", "{l}2", "LEFT", "RIGHT"), "a");
    same(await r.lmpop(2, "{l}none", "{l}2", "LEFT"), ["{l}2", ["a"]]);
    same(await r.lpop("{l}1", 2), ["x", "b"]);
    same(await r.rpush("{l}3", 3, 1, 2), 3);
    same(await r.sort("{l}3", "DESC"), ["3", "2", "1"]);
    same(await r.rpop("{l}none"), null);
  },
  async sets(r) {
    same(await r.sadd("{s}1", "a", "b", "c"), 3);
    same(await r.sadd("{s}2", "b", "c", "d"), 3);
    same((await r.sinter("{s}1", "{s}2")).sort(), ["b", "c"]);
    same((await r.sunion("{s}1", "{s}2")).sort(), ["a", "b", "c", "d"]);
    same(await r.sintercard(2, "{s}1", "{s}2"), 2);
    same(await r.sdiffstore("{s}3", "{s}1", "{s}2"), 1);
    same(await r.smembers("{s}3"), ["a"]);
    same(await r.smismember("{s}1", "a", "x"), [1, 0]);
    same(await r.spop("{s}3"), "a");
    const scanned = [];
    for await (const found of r.sscanStream("{s}1")) scanned.push(...found);
    same(scanned.sort(), ["a", "b", "c"]);
  },
  async sorted_sets(r) {
    same(await r.zadd("{z}1", 1, "a", 2, "b", 3, "c"), 3);
    same(String(await r.zincrby("{z}1", 1.5, "b")), "3.5");
    same((await r.zrange("{z}1", 0, -1, "WITHSCORES")).map(String), ["a", "1", "c", "3", "b", "3.5"]);
    same(await r.zrangebyscore("{z}1", 2, "+inf"), ["c", "b"]);
    same(await r.zadd("{z}2", 10, "a"), 1);
    same(await r.zunionstore("{z}3", 2, "{z}1", "{z}2"), 3);
    same(String(await r.zscore("{z}3", "a")), "11");
    same(await r.zinter(2, "{z}1", "{z}2"), ["a"]);
    same((await r.zpopmin("{z}3")).map(String), ["c", "3"]);
    same(await r.zrank("{z}1", "c"), 1);
  },
  async streams(r) {
    same(await r.xadd("{x}1", "1-1", "f", "1"), "1-1");
    same(await r.xadd("{x}1", "2-1", "f", "2"), "2-1");
    same(await r.xrange("{x}1", "-", "+"), [["1-1", ["f", "1"]], ["2-1", ["f", "2"]]]);
    const found = [["{x}1", [["2-1", ["f", "2"]]]]];
    same((await r.xread("STREAMS", "{x}1", "1-1")).flat(), found.flat());
    same(await r.xgroup("CREATE", "{x}1", "g", "0"), "OK");
    const read = await r.xreadgroup("GROUP", "g", "c", "COUNT", 1, "STREAMS", "{x}1", ">");
    same(read.flat(), ["{x}1", [["1-1", ["f", "1"]]]]);
    same((await r.xpending("{x}1", "g"))[0], 1);
    same(await r.xack("{x}1", "g", "1-1"), 1);
    same(await r.xlen("{x}1"), 2);
  },
  async hyperloglogs(r) {
    same(await r.pfadd("{p}1", "a", "b", "c"), 1);
    same(await r.pfadd("{p}2", "c", "d"), 1);
    same(await r.pfcount("{p}1", "{p}2"), 4);
    same(await r.pfmerge("{p}3", "{p}1", "{p}2"), "OK");
  },
  async geo(r) {
    same(await r.geoadd("g", 13.361389, 38.115556, "palermo", 15.087269, 37.502669, "catania"), 2);
    same(Math.round(await r.geodist("g", "palermo", "catania", "km")), 166);
    same(await r.geosearch("g", "FROMLONLAT", 15, 37, "BYRADIUS", 100, "km"), ["catania"]);
    same((await r.georadius("g", 15, 37, 200, "km")).sort(), ["catania", "palermo"]);
  },
  async pipelines(r) {
    const p = r.pipeline();
    for (let n = 0; n < 200; n++) p.set(`pipe${n}`, n).incr(`pipe${n}`).get(`pipe${n}`);
    p.lpush("pipe0", 1);
    const found = await p.exec();
    same(found[600][0] instanceof Error, true);
    same(found.slice(0, 600).map((one) => one[1]), [...Array(200).keys()].flatMap((n) => ["OK", n + 1, `${n + 1}`]));
    const asked = [...Array(200).keys()].map((n) => r.get(`pipe${n}`));
    same(await Promise.all(asked), [...Array(200).keys()].map((n) => `${n + 1}`));
  },
  async whole(r) {
    for (let n = 0; n < 100; n++) await r.set(`whole${n}`, n);
    same((await r.keys("whole*")).length, 100);
    const scanned = new Set();
    for await (const found of r.scanStream({ match: "whole*", count: 10 })) found.forEach((key) => scanned.add(key));
    same(scanned.size, 100);
    same((await r.dbsize()) >= 100, true);
  },
  async transactions(r) {
    same(await r.multi().set("{t}a", 1).incr("{t}a").get("{t}a").exec(), [[null, "OK"], [null, 2], [null, "2"]]);
  },
  async watching(r) {
    same(await r.set("{t}a", 2), "OK");
    same(await r.watch("{t}a"), "OK");
    same(await r.multi().incr("{t}a").exec(), [[null, 3]]);
    const other = new Redis(options);
    await r.watch("{t}a");
    await other.set("{t}a", "other");
    same(await r.multi().set("{t}a", "lost").exec(), null);
    same(await r.get("{t}a"), "other");
    other.disconnect();
  },
  async scripts(r) {
    same(await r.eval("return {KEYS[1],ARGV[1]}", 1, "{e}a", "x"), ["{e}a", "x"]);
    r.defineCommand("mine", { numberOfKeys: 1, lua: "return redis.call('INCRBY',KEYS[1],ARGV[1])" });
    for (const key of ["{e}n", "{f}n", "{g}n"]) same(await r.mine(key, 5), 5);
    const digest = await r.script("LOAD", "return 7");
    same(await r.script("EXISTS", digest), [1]);
    same(await r.evalsha(digest, 0), 7);
    await rejects(r.evalsha("0".repeat(40), 0), /NOSCRIPT/);
  },
  async blocking(r) {
    same(await r.blpop("{w}1", 0.05), null);
    const other = new Redis(options);
    const waiting = other.blpop("{w}1", 5);
    await r.rpush("{w}1", "a");
    same(await waiting, ["{w}1", "a"]);
    other.disconnect();
  },
  async pubsub(r) {
    const other = new Redis(options);
    same(await other.subscribe("{c}news"), 1);
    same(await other.psubscribe("{c}n*"), 2);
    const heard = [];
    const all = new Promise((done) => {
      other.on("message", (channel, text) => heard.push(`${channel} ${text}`) === 2 && done());
      other.on("pmessage", (pattern, channel, text) => heard.push(`${pattern} ${text}`) === 2 && done());
    });
    await r.publish("{c}news", "hello");
    await all;
    same(heard.sort(), ["{c}n* hello", "{c}news hello"]);
    await other.unsubscribe("{c}news");
    await other.punsubscribe("{c}n*");
    same(await other.ping(), "PONG");
    other.disconnect();
  },
};

setTimeout(() => { console.error("too slow"); process.exit(1); }, 30000).unref();

(async () => {
  const r = new Redis(options);
  r.on("error", (error) => console.error(`connection: ${error.message}`));
  for (const [name, group] of Object.entries(groups)) {
    try {
      await group(r);
    } catch (error) {
      console.error(`${name}: ${error.stack}`);
      process.exit(1);
    }
  }
  same(await r.quit(), "OK");
  console.log(`ioredis: ${Object.keys(groups).length} groups`);
  process.exit(0);
})();
