// page.js -- the page's behaviour: lists models, makes lines to paste, streams text, draws forecasts.
"use strict";

const $ = (id) => document.getElementById(id);
let models = [];
let session = null;   // the id of the session that the text box goes on with
let running = null;   // AbortController of the stream

function element(tag, text, className) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

async function askJson(path, body) {
  const reply = await fetch(path, body === undefined ? {} :
    { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const json = await reply.json();
  if (!reply.ok) throw new Error(json.error ? json.error.message : `status ${reply.status}`);
  return json;
}

// ---- models and lines ---------------------------------------------------------------------------------------------

function lineFor(model) {
  const at = location.origin, name = model.id, facts = model.rnnd;
  const quote = (o) => `'${JSON.stringify(o).replaceAll("'", "'\\''")}'`;
  if (facts.task === "text" && facts.chat)
    return `curl -N ${at}/v1/chat/completions -d ${quote({ model: name, stream: true, session: `my-${name}`, max_tokens: 200,
      messages: [{ role: "user", content: "Good morrow." }] })}`;
  if (facts.task === "text")
    return `curl -N ${at}/v1/completions -d ${quote({ model: name, prompt: "The ", max_tokens: 200, stream: true })}`;
  if (name === "taxi")
    return `curl -s ${at}/ui/taxi.csv | curl '${at}/v1/forecast?model=taxi&horizon=48&quantiles=0.1,0.9' ` +
      "-H 'Content-Type: text/csv' --data-binary @-";
  if (facts.task === "series")
    return `curl ${at}/v1/forecast -d ${quote({ model: name, horizon: facts.horizon, level: [80],
      series: Array.from({ length: Math.max(4, facts.warmup) }, (_, i) => facts.channels.length === 1 ? i % 24
        : facts.channels.map(() => i % 24)) })}`;
  return `curl ${at}/v1/sessions/my-${name}/steps -d ${quote({ model: name, inputs: [Array(facts.inputs).fill(0)] })}`;
}

function fill(select, list) {
  select.replaceChildren(...list.map((m) => Object.assign(element("option", m.id), { value: m.id })));
}

async function showModels() {
  models = (await askJson("/v1/models")).data;
  $("models").replaceChildren(...models.map((m) => {
    const row = element("tr"), f = m.rnnd;
    for (const cell of [m.id, f.task, f.parameters.toLocaleString("en"), `${f.state_bytes.toLocaleString("en")} bytes`,
      f.description || ""]) row.append(element("td", cell));
    return row;
  }));
  $("lines").replaceChildren(...models.map((m) => element("pre", lineFor(m))),
    element("pre", `curl ${location.origin}/v1/models`), element("pre", `curl ${location.origin}/metrics`));
  const text = models.filter((m) => m.rnnd.task === "text"), series = models.filter((m) => m.rnnd.task === "series");
  $("chat").hidden = !text.length;
  $("forecast").hidden = !series.length;
  fill($("chat-model"), text);
  fill($("forecast-model"), series);
  if (series.length) {
    await exampleHistory();
    forecast();
  }
}

async function showHealth() {
  try {
    const reply = await fetch("/readyz");
    $("health").textContent = reply.ok ? "ready" : "not ready";
  } catch {
    $("health").textContent = "does not answer";
  }
}

// ---- text -----------------------------------------------------------------------------------------------------------

// Yields the JSON of each event of a reply's stream; throws if it breaks off or carries an error.
async function* events(reply) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      if (line === "data: [DONE]") return;
      const json = JSON.parse(line.slice(6));
      if (json.error) throw new Error(json.error.message);
      yield json;
    }
  }
}

function newSession() {
  session = `page-${crypto.getRandomValues(new Uint32Array(3)).join("-")}`;
  $("log").replaceChildren();
  $("chat-state").textContent = "new session";
}

function turn(className, text) {
  const p = element("p", text, `turn ${className}`);
  $("log").append(p);
  return p;
}

async function send(event) {
  event.preventDefault();
  if (running) return;
  const model = models.find((m) => m.id === $("chat-model").value), said = $("prompt").value;
  if (!said) return;
  const body = { model: model.id, session, stream: true, max_tokens: Number($("tokens").value),
    temperature: Number($("temperature").value) };
  if ($("seed").value !== "") body.seed = Number($("seed").value);
  if (model.rnnd.chat) body.messages = [{ role: "user", content: said }];
  else body.prompt = said;
  turn("user", said);
  $("prompt").value = "";
  const out = turn("model", "");
  running = new AbortController();
  $("stop").disabled = false;
  const begun = performance.now();
  try {
    const reply = await fetch(model.rnnd.chat ? "/v1/chat/completions" : "/v1/completions", { method: "POST",
      headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal: running.signal });
    if (!reply.ok) throw new Error((await reply.json()).error.message);
    let characters = 0;
    for await (const chunk of events(reply)) {
      for (const choice of chunk.choices) {
        const text = choice.delta ? choice.delta.content || "" : choice.text || "";
        characters += text.length;
        out.textContent += text;
      }
      if (chunk.session) $("chat-state").textContent = `session at step ${chunk.session.step}, ` +
        `${Math.round(characters / (performance.now() - begun) * 1000)} characters a second`;
      $("log").scrollTop = $("log").scrollHeight;
    }
  } catch (e) {
    if (e.name === "AbortError") $("chat-state").textContent = "stopped: the session is as before this turn";
    else turn("error", e.message);
  }
  running = null;
  $("stop").disabled = true;
}

// ---- forecast -------------------------------------------------------------------------------------------------------

// The bundled model's own example where there is one, else two sines of a likely period.
async function exampleHistory() {
  const model = models.find((m) => m.id === $("forecast-model").value), f = model.rnnd;
  $("horizon").value = f.horizon;
  $("horizon").max = 10 * f.horizon;
  const example = await fetch(`/ui/${encodeURIComponent(model.id)}.csv`);
  if (example.ok) {
    $("series").value = (await example.text()).trim().split("\n").slice(1).join(" ");
    return;
  }
  const n = Math.max(2 * f.horizon, f.warmup + 48), period = Math.max(f.horizon, 12);
  const values = Array.from({ length: n }, (_, i) =>
    Math.round(1000 + 400 * Math.sin(2 * Math.PI * i / period) + 150 * Math.sin(4 * Math.PI * i / period + 1)));
  $("series").value = values.join(" ");
}

function svg(tag, attributes, text) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text !== undefined) e.textContent = text;
  return e;
}

function draw(history, low, middle, high) {
  const shown = history.slice(-3 * middle.length), all = shown.filter(Number.isFinite).concat(low, high);
  const min = Math.min(...all), max = Math.max(...all), span = max - min || 1, count = shown.length + middle.length;
  const x = (i) => 50 + 840 * i / Math.max(1, count - 1), y = (v) => 280 - 260 * (v - min) / span;
  const path = (values, from) => values.map((v, i) =>
    Number.isFinite(v) ? `${i && Number.isFinite(values[i - 1]) ? "L" : "M"}${x(from + i).toFixed(1)} ${y(v).toFixed(1)}`
      : "").join("");
  const number = (v) => Number(v.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
  const n = shown.length, back = high.map((v, i) => `L${x(n + i).toFixed(1)} ${y(v).toFixed(1)}`).reverse().join("");
  $("plot").replaceChildren(
    svg("line", { class: "axis", x1: 50, x2: 890, y1: 280, y2: 280 }),
    svg("line", { class: "axis", x1: x(n - 0.5), x2: x(n - 0.5), y1: 10, y2: 280 }),
    svg("path", { class: "band", d: `${path(low, n)}${back}Z` }),
    svg("path", { class: "history", d: path(shown, 0) }),
    svg("path", { class: "median", d: path(middle, n) }),
    svg("text", { x: 2, y: 24 }, number(max)), svg("text", { x: 2, y: 276 }, number(min)),
    svg("text", { x: x(0), y: 297 }, `${n} steps of history`),
    svg("text", { x: x(n - 0.5), y: 297 }, `${middle.length} steps ahead`));
}

async function forecast(event) {
  if (event) event.preventDefault();
  const model = models.find((m) => m.id === $("forecast-model").value);
  const history = $("series").value.split(/[\s,;]+/).filter(Boolean).map((v) => isNaN(v) ? null : Number(v));
  try {
    const begun = performance.now(), width = model.rnnd.channels.length;
    const series = width === 1 ? history : history.map((v) => Array(width).fill(v));
    const body = { model: model.id, series, horizon: Number($("horizon").value), quantiles: [0.1, 0.5, 0.9] };
    if (!model.rnnd.quantiles.length) body.quantiles = [];
    const f = (await askJson("/v1/forecast", body)).forecasts[0];
    const first = (list) => f.channels.length === 1 ? list : list.map((row) => row[0]);
    const middle = first(f.quantiles["0.5"] || f.mean);
    draw(history, first(f.quantiles["0.1"] || f.mean), middle, first(f.quantiles["0.9"] || f.mean));
    $("forecast-state").textContent = `${f.steps_consumed} steps, ${f.imputed} filled in, ` +
      `${Math.round(performance.now() - begun)} ms; median and the 10 % and 90 % bounds` +
      (f.beyond_trained_horizon ? "; beyond the trained horizon" : "");
  } catch (e) {
    $("forecast-state").textContent = e.message;
  }
}

$("chat-form").addEventListener("submit", send);
$("prompt").addEventListener("keydown", (e) => {
  if (e.key === "Enter" && !e.shiftKey) send(e);
});
$("stop").addEventListener("click", () => running && running.abort());
$("fresh").addEventListener("click", newSession);
$("chat-model").addEventListener("change", newSession);
$("forecast-form").addEventListener("submit", forecast);
$("forecast-model").addEventListener("change", exampleHistory);
$("example").addEventListener("click", exampleHistory);
newSession();
showHealth();
setInterval(showHealth, 5000);
showModels().catch((e) => $("models").replaceChildren(element("tr", e.message)));
