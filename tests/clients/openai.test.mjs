// openai.test.mjs -- OpenAI's own npm client, unmodified, against the built server on the tiny text model.
//   node openai.test.mjs RNND MODEL      run where node_modules/openai is; closes with "N passed, N failed, N skipped"
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import http from "node:http";
import net from "node:net";
import OpenAI from "openai";

const [program, model] = process.argv.slice(2);

function freePort() {
  return new Promise((resolve) => {
    const s = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = s.address();
      s.close(() => resolve(port));
    });
  });
}

async function startServer() {
  const port = await freePort();
  const child = spawn(program, ["serve", "--listen", `127.0.0.1:${port}`, model], { stdio: "ignore" });
  for (let i = 0; i < 100; i++) {
    try {
      if ((await fetch(`http://127.0.0.1:${port}/readyz`)).ok) return { child, port };
    } catch { /* not yet */ }
    await new Promise((r) => setTimeout(r, 100));
  }
  child.kill();
  throw new Error("the server did not become ready");
}

// Forwards to the server, but breaks the connection after the server has answered, for the first `losses` replies.
async function startLossyProxy(target, losses) {
  const proxy = http.createServer((request, reply) => {
    const parts = [];
    request.on("data", (d) => parts.push(d)).on("end", () => {
      const onward = http.request({ port: target, host: "127.0.0.1", path: request.url, method: request.method,
        headers: request.headers }, (answer) => {
        const body = [];
        answer.on("data", (d) => body.push(d)).on("end", () => {
          if (losses-- > 0) request.socket.destroy();
          else reply.writeHead(answer.statusCode, answer.headers).end(Buffer.concat(body));
        });
      });
      onward.end(Buffer.concat(parts));
    });
  });
  await new Promise((r) => proxy.listen(0, "127.0.0.1", r));
  return proxy;
}

const { child, port } = await startServer();
const clientAt = (p, options = {}) => new OpenAI({ apiKey: "none", baseURL: `http://127.0.0.1:${p}/v1`, ...options });
const client = clientAt(port);
const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "Hello" }];
const chat = (more) => client.chat.completions.create({ model: "text", messages, max_tokens: 60, ...more });
const stepOf = async (id) => (await (await fetch(`http://127.0.0.1:${port}/v1/sessions/${id}`)).json()).step;

const tests = {
  async "models.list and retrieve"() {
    const ids = [];
    for await (const m of client.models.list()) ids.push(m.id);
    assert.deepEqual(ids, ["text"]);
    assert.equal((await client.models.retrieve("text")).object, "model");
    await assert.rejects(client.models.retrieve("none"), OpenAI.NotFoundError);
  },

  async "completions"() {
    const c = await client.completions.create({ model: "text", prompt: ["one", "two"], n: 2, seed: 1, max_tokens: 20,
      logprobs: 3, echo: true });
    assert.deepEqual(c.choices.map((x) => x.index), [0, 1, 2, 3]);
    assert.ok(c.choices[2].text.startsWith("two"));
    assert.equal(c.usage.total_tokens, 6 + 80);
    const l = c.choices[0].logprobs;
    assert.equal(l.tokens.length, 23);
    assert.equal(l.token_logprobs[0], null);
    assert.ok(Object.keys(l.top_logprobs[5]).length >= 3);
  },

  async "completions, streamed"() {
    const body = { model: "text", prompt: "go", seed: 2, max_tokens: 50 };
    const whole = await client.completions.create(body);
    let text = "", finish;
    for await (const part of await client.completions.create({ ...body, stream: true })) {
      text += part.choices[0].text;
      finish = part.choices[0].finish_reason ?? finish;
    }
    assert.equal(text, whole.choices[0].text);
    assert.equal(finish, "length");
  },

  async "chat, streamed and whole, with usage"() {
    const whole = await chat({ seed: 3 });
    assert.equal(whole.object, "chat.completion");
    assert.equal(whole.choices[0].message.role, "assistant");
    let text = "", usage = null, last;
    for await (const part of await chat({ seed: 3, stream: true, stream_options: { include_usage: true } })) {
      if (part.usage) usage = part.usage;
      for (const c of part.choices) {
        text += c.delta.content ?? "";
        last = c.finish_reason ?? last;
      }
    }
    assert.equal(text, whole.choices[0].message.content);
    assert.equal(last, whole.choices[0].finish_reason);
    assert.deepEqual(usage, whole.usage);
  },

  async "the stream helper"() {
    const stream = client.chat.completions.stream({ model: "text", messages, seed: 4, max_tokens: 40 });
    const final = await stream.finalChatCompletion();
    assert.equal(final.choices[0].message.content, (await chat({ seed: 4, max_tokens: 40 })).choices[0].message.content);
  },

  async "stop"() {
    const body = { model: "text", prompt: "x", seed: 5, max_tokens: 80 };
    const whole = (await client.completions.create(body)).choices[0].text;
    const stop = whole.slice(20, 23), cut = await client.completions.create({ ...body, stop: [stop, "never"] });
    assert.equal(cut.choices[0].text, whole.slice(0, whole.indexOf(stop)));
    assert.equal(cut.choices[0].finish_reason, "stop");
  },

  async "chat logprobs, n = 2"() {
    const c = await chat({ n: 2, seed: 6, logprobs: true, top_logprobs: 2 });
    assert.equal(c.choices.length, 2);
    const one = c.choices[1].logprobs.content[0];
    assert.equal(one.top_logprobs.length, 2);
    assert.ok(one.logprob <= 0 && one.bytes.length >= 1 && typeof one.token === "string");
    assert.equal((await chat({ seed: 6 })).choices[0].message.content, c.choices[0].message.content);
  },

  async "same seed, same text, alone and beside 32 other streams"() {
    const body = { model: "text", prompt: "again", seed: 7, max_tokens: 300 };
    const alone = (await client.completions.create(body)).choices[0].text;
    assert.equal((await client.completions.create(body)).choices[0].text, alone);
    const others = await Promise.all(Array.from({ length: 32 }, (_, i) =>
      client.completions.create({ model: "text", prompt: `other ${i}`, max_tokens: -1, stream: true })));
    const pumps = others.map(async (s) => {
      let n = 0;
      try {
        for await (const part of s) n += part.choices[0].text.length;
      } catch { /* ended below */ }
      return n;
    });
    const beside = await Promise.all([1, 2, 3].map(() => client.completions.create(body)));
    for (const b of beside) assert.equal(b.choices[0].text, alone);
    others.forEach((s) => s.controller.abort());
    for (const n of await Promise.all(pumps)) assert.ok(n > 0);
  },

  async "errors name the parameter and are not sent again"() {
    const refused = await chat({ temperature: 9 }).catch((e) => e);
    assert.ok(refused instanceof OpenAI.BadRequestError);
    assert.equal(refused.param, "temperature");
    const tools = await chat({ tools: [{ type: "function", function: { name: "f" } }] }).catch((e) => e);
    assert.equal(tools.code, "unsupported_parameter");
  },

  async "a lost reply moves the session once and gives the same text"() {
    const proxy = await startLossyProxy(port, 1), lossy = clientAt(proxy.address().port, { maxRetries: 2 });
    const body = { model: "text", messages: [{ role: "user", content: "Hi" }], session: "lost", max_tokens: 20 };
    const answer = await lossy.chat.completions.create(body);
    proxy.close();
    assert.equal(answer.session.step, await stepOf("lost"));
    assert.equal(answer.session.replayed, true);
    const next = await client.chat.completions.create({ ...body, step: answer.session.step });
    assert.equal(next.usage.prompt_tokens_details.cached_tokens, answer.session.step);
    await assert.rejects(client.chat.completions.create({ ...body, step: 1 }), OpenAI.ConflictError);
  },

  async "leaving a stream leaves the session as it was"() {
    const body = { model: "text", prompt: "on", session: "left", max_tokens: 10 };
    await client.completions.create(body);
    const before = await stepOf("left");
    const stream = await client.completions.create({ ...body, max_tokens: -1, stream: true });
    for await (const part of stream) if (part.choices.length) break;
    stream.controller.abort();
    await client.completions.create({ ...body, step: before });
    assert.ok(await stepOf("left") > before);
  },
};

let passed = 0, failed = 0;
for (const [name, run] of Object.entries(tests)) {
  try {
    await Promise.race([run(), new Promise((_, no) => setTimeout(() => no(new Error("over 30 s")), 30000).unref())]);
    passed++;
  } catch (e) {
    failed++;
    console.log(`FAILED: ${name}\n${e.stack}`);
  }
}
child.kill("SIGTERM");
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed ? 1 : 0);
