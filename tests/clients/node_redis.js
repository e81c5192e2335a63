// node-redis: its ordinary groups of commands, with their results asserted.
// usage: node node_redis.js PORT PROTOCOL     PROTOCOL is 2, 3, or 0 for the library's default
const { deepEqual: same, rejects } = require("assert");
const { createClient } = require("redis");

const [port, protocol] = process.argv.slice(2);
const options = { socket: { host: "127.0.0.1", port: Number(port) }, name: "tests" };
if (protocol !== "0") options.RESP = Number(protocol);

const connect = () => createClient(options).on("error", (error) => console.error(`connection: ${error.message}`)).connect();

const groups = {
  async session(r) {
    same(await r.ping(), "PONG");
    same(await r.echo("hello"), "hello");
    same(await r.clientGetName(), "tests");
    same(/loading:0/.test(await r.info()), true);
    same((await r.commandCount()) > 100, true);
    await r.select(0);
    await rejects(r.sendCommand(["NOSUCH", "a"]), /unknown command/);
  },
  async strings(r) {
    same(await r.set("s", "v"), "OK");
    same(await r.set("s", "w", { NX: true }), null);
    same(await r.set("s", "w", { EX: 100, GET: true }), "v");
    same(await r.append("s", "x"), 2);
    same(await r.set("n", 1), "OK");
    same(await r.incrBy("n", 5), 6);
    same(Number(await r.incrByFloat("n", 0.5)), 6.5);
    same(await r.getDel("n"), "6.5");
    const many = Object.fromEntries([...Array(50).keys()].map((n) => [`m${n}`, `${n}`]));
    same(await r.mSet(many), "OK");
    same(await r.mGet([...Object.keys(many), "none"]), [...Object.values(many), null]);
    same(await r.del(Object.keys(many)), 50);
    await rejects(r.lPush("s", "x"), /WRONGTYPE/);
  },
  async bitmaps(r) {
    same(await r.setBit("{b}1", 7, 1), 0);
    same(await r.setBit("{b}2", 0, 1), 0);
    same(await r.bitOp("OR", "{b}3", ["{b}1", "{b}2"]), 1);
    same(await r.bitCount("{b}3"), 2);
    same(await r.bitPos("{b}3", 1), 0);
  },
  async keys(r) {
    same(await r.set("{k}a", "1"), "OK");
    same(Number(await r.expire("{k}a", 100)), 1);
    same((await r.ttl("{k}a")) > 90, true);
    same(await r.type("{k}a"), "string");
    same(await r.rename("{k}a", "{k}b"), "OK");
    same(Number(await r.copy("{k}b", "{k}c")), 1);
    same(await r.objectEncoding("{k}c"), "int");
    same(await r.exists(["{k}b", "{k}c", "{k}d"]), 2);
    same(await r.unlink(["{k}b", "{k}c", "{k}d"]), 2);
  },
  async hashes(r) {
    same(await r.hSet("h", { a: "1", b: "2" }), 2);
    same({ ...(await r.hGetAll("h")) }, { a: "1", b: "2" });
    same(await r.hmGet("h", ["a", "none"]), ["1", null]);
    same(await r.hIncrBy("h", "a", 4), 5);
    same((await r.hKeys("h")).sort(), ["a", "b"]);
    const scanned = [];
    for await (const found of r.hScanIterator("h")) scanned.push(...found.map((one) => one.field));
    same(scanned.sort(), ["a", "b"]);
    same(await r.hDel("h", ["a", "b", "c"]), 2);
  },
  async lists(r) {
    same(await r.rPush("{l}1", ["a", "b", "c"]), 3);
    same(await r.lRange("{l}1", 0, -1), ["a", "b", "c"]);
    same(await r.lMove("{l}1", "{l}2", "LEFT", "RIGHT"), "a");
    same(await r.lmPop(["{l}none", "{l}2"], "LEFT"), ["{l}2", ["a"]]);
    same(await r.lPop("{l}1"), "b");
    same(await r.rPush("{l}3", ["3", "1", "2"]), 3);
    same(await r.sort("{l}3", { DIRECTION: "DESC" }), ["3", "2", "1"]);
  },
  async sets(r) {
    same(await r.sAdd("{s}1", ["a", "b", "c"]), 3);
    same(await r.sAdd("{s}2", ["b", "c", "d"]), 3);
    same((await r.sInter(["{s}1", "{s}2"])).sort(), ["b", "c"]);
    same((await r.sUnion(["{s}1", "{s}2"])).sort(), ["a", "b", "c", "d"]);
    same(await r.sInterCard(["{s}1", "{s}2"]), 2);
    same((await r.sMembers("{s}1")).sort(), ["a", "b", "c"]);
    same(Number(await r.sIsMember("{s}1", "a")), 1);
    same(await r.sDiffStore("{s}3", ["{s}1", "{s}2"]), 1);
    same(await r.sPop("{s}3"), "a");
  },
  async sorted_sets(r) {
    const members = [{ score: 1, value: "a" }, { score: 2, value: "b" }, { score: 3, value: "c" }];
    same(await r.zAdd("{z}1", members), 3);
    same(await r.zIncrBy("{z}1", 1.5, "b"), 3.5);
    same(await r.zRange("{z}1", 0, -1), ["a", "c", "b"]);
    same((await r.zRangeWithScores("{z}1", 0, 0)).map((one) => ({ ...one })), [{ value: "a", score: 1 }]);
    same(await r.zScore("{z}1", "none"), null);
    same(await r.zmScore("{z}1", ["a", "none"]), [1, null]);
    same(await r.zAdd("{z}2", { score: 10, value: "a" }), 1);
    same(await r.zUnionStore("{z}3", ["{z}1", "{z}2"]), 3);
    same(await r.zInter(["{z}1", "{z}2"]), ["a"]);
    same({ ...(await r.zPopMin("{z}3")) }, { value: "c", score: 3 });
  },
  async streams(r) {
    same(await r.xAdd("{x}1", "1-1", { f: "1" }), "1-1");
    same(await r.xAdd("{x}1", "2-1", { f: "2" }), "2-1");
    same((await r.xRange("{x}1", "-", "+")).map((one) => one.id), ["1-1", "2-1"]);
    const read = await r.xRead({ key: "{x}1", id: "1-1" });
    same(read.length, 1);
    same({ ...read[0].messages[0].message }, { f: "2" });
    same(await r.xGroupCreate("{x}1", "g", "0"), "OK");
    const group = await r.xReadGroup("g", "c", { key: "{x}1", id: ">" }, { COUNT: 1 });
    same(group[0].messages[0].id, "1-1");
    same(await r.xAck("{x}1", "g", "1-1"), 1);
    same((await r.xInfoStream("{x}1")).length, 2);
  },
  async hyperloglogs(r) {
    same(Number(await r.pfAdd("{p}1", ["a", "b", "c"])), 1);
    same(Number(await r.pfAdd("{p}2", ["c", "d"])), 1);
    same(await r.pfCount(["{p}1", "{p}2"]), 4);
    same(await r.pfMerge("{p}3", ["{p}1", "{p}2"]), "OK");
  },
  async geo(r) {
    const places = [
      { longitude: 13.361389, latitude: 38.115556, member: "palermo" },
      { longitude: 15.087269, latitude: 37.502669, member: "catania" },
    ];
    same(await r.geoAdd("g", places), 2);
    same(Math.round(await r.geoDist("g", "palermo", "catania", "km")), 166);
    same(await r.geoSearch("g", { longitude: 15, latitude: 37 }, { radius: 100, unit: "km" }), ["catania"]);
  },
  async pipelines(r) {
    const p = r.multi();
    for (let n = 0; n < 200; n++) p.set(`pipe${n}`, `${n}`).incr(`pipe${n}`).get(`pipe${n}`);
    same(await p.execAsPipeline(), [...Array(200).keys()].flatMap((n) => ["OK", n + 1, `${n + 1}`]));
    const asked = [...Array(200).keys()].map((n) => r.get(`pipe${n}`));
    same(await Promise.all(asked), [...Array(200).keys()].map((n) => `${n + 1}`));
  },
  async whole(r) {
    for (let n = 0; n < 100; n++) await r.set(`whole${n}`, `${n}`);
    same((await r.keys("whole*")).length, 100);
    const scanned = new Set();
    for await (const found of r.scanIterator({ MATCH: "whole*", COUNT: 10 })) found.forEach((key) => scanned.add(key));
    same(scanned.size, 100);
    same((await r.dbSize()) >= 100, true);
  },
  async transactions(r) {
    same(await r.multi().set("{t}a", "1").incr("{t}a").get("{t}a").exec(), ["OK", 2, "2"]);
  },
  async watching(r) {
    const other = await connect();
    await r.watch("{t}a");
    await other.set("{t}a", "other");
    await rejects(r.multi().set("{t}a", "lost").exec());
    same(await r.get("{t}a"), "other");
    other.destroy();
  },
  async scripts(r) {
    same(await r.eval("return {KEYS[1],ARGV[1]}", { keys: ["{e}a"], arguments: ["x"] }), ["{e}a", "x"]);
    const digest = await r.scriptLoad("return redis.call('INCRBY',KEYS[1],ARGV[1])");
    for (const key of ["{e}n", "{f}n", "{g}n"]) same(await r.evalSha(digest, { keys: [key], arguments: ["5"] }), 5);
    await rejects(r.evalSha("0".repeat(40), { keys: [] }), /NOSCRIPT/);
  },
  async blocking(r) {
    same(await r.blPop("{w}1", 0.05), null);
    const other = await connect();
    const waiting = other.blPop("{w}1", 5);
    await r.rPush("{w}1", "a");
    same({ ...(await waiting) }, { key: "{w}1", element: "a" });
    other.destroy();
  },
  async pubsub(r) {
    const other = await connect();
    const heard = [];
    let done;
    const all = new Promise((resolve) => (done = resolve));
    const hear = (text, channel) => heard.push(`${channel} ${text}`) === 2 && done();
    await other.subscribe("{c}news", hear);
    await other.pSubscribe("{c}n*", hear);
    await r.publish("{c}news", "hello");
    await all;
    same(heard, ["{c}news hello", "{c}news hello"]);
    await other.unsubscribe();
    await other.pUnsubscribe();
    same(String(await other.ping()), "PONG");
    other.destroy();
  },
};

setTimeout(() => { console.error("too slow"); process.exit(1); }, 30000).unref();

(async () => {
  const r = await connect();
  for (const [name, group] of Object.entries(groups)) {
    try {
      await group(r);
    } catch (error) {
      console.error(`${name}: ${error.stack}`);
      process.exit(1);
    }
  }
  await r.close();
  console.log(`node-redis: ${Object.keys(groups).length} groups`);
  process.exit(0);
})();
