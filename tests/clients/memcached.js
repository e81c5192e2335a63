// Memcached libraries: their ordinary calls, a line a check with its name and whether it passed.
// usage: node memcached.js PORT LIBRARY     LIBRARY is memjs (binary) or memcached (text)
const { isDeepStrictEqual } = require("util");

const [port, library] = process.argv.slice(2);
const large = Buffer.alloc(900000, "0123456789");
const check = (name, found, wanted = true) => {
  const told = JSON.stringify(found) ?? "undefined";
  console.log(`${name} [${isDeepStrictEqual(found, wanted) ? "pass" : `FAIL: ${told.slice(0, 200)}`}]`);
};
const text = ({ value }) => (value === null ? null : value.toString());

async function memjs() {
  const c = require("memjs").Client.create(`127.0.0.1:${port}`, { timeout: 10, retries: 0 });
  check("flush", Object.values(await c.flush()), [true]);
  check("get of nothing", text(await c.get("a")), null);
  check("set", await c.set("a", "1", { expires: 1000 }));
  check("get", text(await c.get("a")), "1");
  check("set of a large value", await c.set("large", large, {}));
  check("get of a large value", (await c.get("large")).value.equals(large));
  check("add", await c.add("new", "1", {}));
  check("add again", await c.add("new", "2", {}), false);
  check("replace", await c.replace("new", "3", {}));
  check("replace of nothing", await c.replace("none", "3", {}), false);
  check("append", await c.append("new", "4"));
  check("prepend", await c.prepend("new", "2"));
  // memjs 1.3.2 sends an append for a prepend.
  check("what was made of them", text(await c.get("new")), "342");
  check("increment from a start", (await c.increment("number", 1, { initial: 7 })).value, 7);
  check("increment", (await c.increment("number", 5, {})).value, 12);
  check("decrement", (await c.decrement("number", 20, {})).value, 0);
  check("touch", await c.touch("a", 1000));
  check("touch of nothing", await c.touch("none", 1000), false);
  check("delete", await c.delete("a"));
  check("delete of nothing", await c.delete("a"), false);
  const keys = [...Array(60).keys()].map((number) => `many-${number}`);
  check("many sets at once", (await Promise.all(keys.map((key) => c.set(key, key, {})))).every(Boolean));
  check("many gets at once", (await Promise.all(keys.map((key) => c.get(key)))).map(text), keys);
  c.stats((error, server, stats) => {
    check("stats", error === null && stats !== null);
    c.quit();
  });
}

async function memcached() {
  const Memcached = require("memcached");
  const c = new Memcached(`127.0.0.1:${port}`, { timeout: 10000, retries: 0, poolSize: 3 });
  const call = (name, ...args) =>
    new Promise((resolve) => c[name](...args, (error, found) => resolve(error ? `error: ${error.message ?? error}` : found)));
  check("flush", (await call("flush")).length, 1);
  check("get of nothing", (await call("get", "a")) ?? null, null);
  check("set", await call("set", "a", "1", 1000));
  check("get", await call("get", "a"), "1");
  check("set of an object", await call("set", "object", { a: [1, null] }, 0));
  check("get of an object", await call("get", "object"), { a: [1, null] });
  check("set of a large value", await call("set", "large", large, 0));
  check("get of a large value", large.equals(await call("get", "large")));
  check("add", await call("add", "new", "1", 0));
  check("add again", await call("add", "new", "2", 0), "error: Item is not stored");
  check("replace", await call("replace", "new", "3", 0));
  check("append", await call("append", "new", "4"));
  check("prepend", await call("prepend", "new", "2"));
  check("what was made of them", await call("get", "new"), "234");
  const { cas } = await call("gets", "new");
  check("cas", await call("cas", "new", "5", cas, 0));
  check("cas with an old token", await call("cas", "new", "6", cas, 0), false);
  check("incr of nothing", await call("incr", "number", 1), false);
  check("set of a number", await call("set", "number", 10, 0));
  check("incr", await call("incr", "number", 5), 15);
  check("decr", await call("decr", "number", 20), 0);
  check("touch", await call("touch", "a", 1000));
  check("touch of nothing", await call("touch", "none", 1000), false);
  check("del", await call("del", "a"));
  check("del of nothing", await call("del", "a"), false);
  const keys = [...Array(60).keys()].map((number) => `many-${number}`);
  const sets = await Promise.all(keys.map((key) => call("set", key, key, 0)));
  check("many sets at once", sets.every((found) => found === true));
  check("many gets at once", await Promise.all(keys.map((key) => call("get", key))), keys);
  check("getMulti", await call("getMulti", [...keys, "none"]), Object.fromEntries(keys.map((key) => [key, key])));
  check("version", (await call("version")).length, 1);
  check("stats", (await call("stats"))[0].pid > 0);
  c.end();
}

({ memjs, memcached })[library]().catch((error) => {
  console.log(`the script [FAIL: ${error.message}]`);
  process.exit(1);
});
