/* node_server.js -- the obvious alternative: Node's http module around onnxruntime-node, sessions in a Map.
 *
 *     NODE_PATH=FOLDER/node_modules node node_server.js PORT MODEL.onnx
 *
 * POST /v1/sessions/{id}/steps {"inputs":[[..]]} as rnnd answers it: rows in order, a session's requests one after
 * another, states kept between them. One run per row with a batch of 1; one thread computes, as everywhere beside it. */
'use strict';
const http = require('http');
const ort = require('onnxruntime-node');

const port = Number(process.argv[2]), file = process.argv[3];
const sessions = new Map(); // id -> {step, h, c, line: the end of its last request}
const path = /^\/v1\/sessions\/([A-Za-z0-9._~:-]{1,128})\/steps$/;

function fresh(hidden) {
  const zeros = () => new ort.Tensor('float32', new Float32Array(hidden), [1, 1, hidden]);
  return {step: 0, h: zeros(), c: zeros(), line: Promise.resolve()};
}

async function run(model, session, rows) {
  const outputs = [];
  let {h, c} = session;
  for (const row of rows) {
    const x = new ort.Tensor('float32', Float32Array.from(row), [1, 1, row.length]);
    const out = await model.run({x, h0: h, c0: c});
    h = out.hn0;
    c = out.cn0;
    outputs.push(Array.from(out.y.data));
  }
  session.h = h;
  session.c = c;
  session.step += rows.length;
  return {step: session.step, outputs, replayed: false, mode: 'carry', model_version: '000000000000'};
}

function send(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, {'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body)});
  response.end(body);
}

function refuse(response, status, message) {
  send(response, status, {error: {message, type: 'invalid_request_error', param: null, code: 'invalid_request'}});
}

async function main() {
  const model = await ort.InferenceSession.create(file, {intraOpNumThreads: 1, interOpNumThreads: 1});
  const hidden = 256;
  const server = http.createServer((request, response) => {
    const match = path.exec(request.url);
    if (request.method !== 'POST' || !match) return refuse(response, 404, 'there is only POST /v1/sessions/{id}/steps');
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      let rows;
      try {
        rows = JSON.parse(Buffer.concat(pieces)).inputs;
      } catch (error) {
        return refuse(response, 400, error.message);
      }
      if (!Array.isArray(rows) || !rows.every((row) => Array.isArray(row) && row.every(Number.isFinite)))
        return refuse(response, 400, 'inputs must be [[..], ..]');
      let session = sessions.get(match[1]);
      if (!session) sessions.set(match[1], session = fresh(hidden));
      session.line = session.line.then(() => run(model, session, rows))
        .then((answer) => send(response, 200, answer), (error) => refuse(response, 500, error.message));
    });
  });
  server.keepAliveTimeout = 60000;
  server.listen(port, '127.0.0.1');
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
