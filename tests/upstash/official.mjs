// Exercises a REST endpoint with the official client, and with plain requests where that client has no use for a feature.
//
// KEYLATCH_TEST_UPSTASH_URL and KEYLATCH_TEST_UPSTASH_TOKEN name the endpoint. With `--basic` only what every stand-in has.
import assert from "node:assert/strict";
import { Redis } from "@upstash/redis";

const url = process.env.KEYLATCH_TEST_UPSTASH_URL;
const token = process.env.KEYLATCH_TEST_UPSTASH_TOKEN;
assert(url && token, "KEYLATCH_TEST_UPSTASH_URL and KEYLATCH_TEST_UPSTASH_TOKEN are set");
const full = !process.argv.includes("--basic");

const settings = {
  url,
  token,
  retry: false,
  automaticDeserialization: false,
  enableTelemetry: false,
  // Every command is a request of its own, except in pipelines that are made here.
  enableAutoPipelining: false,
  // Without it the client takes plain answers for base64 where they look like it.
  responseEncoding: full ? "base64" : false,
};
const redis = new Redis(settings);

assert.equal(await redis.set("key", "välue"), "OK");
assert.equal(await redis.get("key"), "välue");
assert.equal(await redis.get("missing"), null);
assert.equal(await redis.set("key", "x", { nx: true }), null);
assert.equal(await redis.set("key", "OK", { px: 60_000 }), "OK");
assert.equal(await redis.get("key"), "OK");
assert.equal(await redis.del("list", "number"), 0);
assert.equal(await redis.rpush("list", "a", "b"), 2);
assert.deepEqual(await redis.lrange("list", 0, -1), ["a", "b"]);

assert.deepEqual(await redis.eval("return {1, ARGV[1], {KEYS[1]}}", ["key"], ["x"]), [1, "x", ["key"]]);
const sha = await redis.scriptLoad("return 'loaded'");
assert.equal(await redis.evalsha(sha, [], []), "loaded");
await assert.rejects(redis.evalsha("0".repeat(40), [], []), /NOSCRIPT/);
await assert.rejects(redis.lpush("key", "x"), /WRONGTYPE/);

const pipeline = redis.pipeline().set("number", 1).incr("number").lpush("number", "x").get("number");
const answers = await pipeline.exec({ keepErrors: true });
assert.deepEqual([answers[0].result, answers[1].result, answers[3].result], ["OK", 2, "2"]);
assert.match(answers[2].error, /WRONGTYPE/);

await assert.rejects(new Redis({ ...settings, token: "wrong" }).get("key"));

if (full) {
  const transaction = redis.multi().set("number", 5).incr("number").mget("number", "missing");
  assert.deepEqual(await transaction.exec(), ["OK", 6, ["6", null]]);
  await assert.rejects(redis.multi().lpush("number", "x").exec(), /WRONGTYPE/);

  const send = async (path, headers, body, authorization = `Bearer ${token}`) => {
    const response = await fetch(`${url}/${path}`, { method: "POST", headers: { authorization, ...headers }, body });
    return {
      status: response.status,
      type: response.headers.get("content-type"),
      sync: response.headers.get("upstash-sync-token"),
      bytes: Buffer.from(await response.arrayBuffer()),
    };
  };
  const resp2 = { "Upstash-Response-Format": "resp2" };
  const base64 = { "Upstash-Encoding": "base64" };

  // A binary value as the body of the path form, with options behind it, and back in every form.
  const binary = Buffer.from([0xff, 0x00, 0x0d, 0x0a]);
  let answer = await send("set/a%2Fb%20c?PX=60000", {}, binary);
  assert.deepEqual([answer.status, JSON.parse(answer.bytes)], [200, { result: "OK" }]);
  answer = await send("", resp2, JSON.stringify(["GET", "a/b c"]));
  assert.deepEqual(answer.bytes, Buffer.concat([Buffer.from("$4\r\n"), binary, Buffer.from("\r\n")]));
  assert.equal(answer.type, "application/octet-stream");
  assert(answer.sync);
  answer = await send("get/a%2Fb%20c", base64);
  assert.deepEqual(JSON.parse(answer.bytes), { result: binary.toString("base64") });
  answer = await send("get/a%2Fb%20c", {});
  assert.deepEqual(JSON.parse(answer.bytes), { result: "\ufffd\0\r\n" });
  assert(Number((await send("pttl/a%2Fb%20c", resp2)).bytes.toString().trim().slice(1)) > 0);

  // The status is plain, the string of the same letters is not.
  answer = await send("multi-exec", base64, JSON.stringify([["SET", "key", "OK"], ["GET", "key"]]));
  assert.deepEqual(JSON.parse(answer.bytes), [{ result: "OK" }, { result: "T0s=" }]);
  // A transaction is always answered in JSON.
  answer = await send("multi-exec", resp2, JSON.stringify([["GET", "key"]]));
  assert.deepEqual([answer.type, JSON.parse(answer.bytes)], ["application/json", [{ result: "OK" }]]);
  // Nothing of it is executed when a command is malformed.
  answer = await send("multi-exec", {}, JSON.stringify([["SET", "key", "no"], ["GET"]]));
  assert.equal(answer.status, 400);
  assert.match(JSON.parse(answer.bytes).error, /wrong number of arguments/);
  assert.equal(await redis.get("key"), "OK");

  const refused = [
    await send("", { ...resp2, ...base64 }, JSON.stringify(["PING"])),
    await send("", { "Upstash-Response-Format": "resp3" }, JSON.stringify(["PING"])),
    await send("", {}, "no JSON"),
    await send("", {}, JSON.stringify(["WATCH", "key"])),
    await send("", resp2, JSON.stringify(["GET"])),
    await send("pipeline", {}, JSON.stringify(["PING"])),
  ];
  assert.deepEqual(refused.map((answer) => answer.status), refused.map(() => 400));
  assert.match(refused[4].bytes.toString(), /^-ERR wrong number.*\r\n$/);
  for (const path of ["", "pipeline", "multi-exec", "get/key"]) {
    answer = await send(path, {}, "[]", "Bearer wrong");
    assert.deepEqual([answer.status, Object.keys(JSON.parse(answer.bytes))], [401, ["error"]]);
  }
  assert.equal((await fetch(`${url}/get/key?_token=${token}`)).status, 200);
  assert.equal((await fetch(`${url}/get/key?_token=${token}`, { method: "DELETE" })).status, 405);
}
console.log("the official client is content");
