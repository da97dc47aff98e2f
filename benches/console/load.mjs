// Grants at a rate, whether answers come or not, over HTTP/2: `node load.mjs PORT AUTHORITIES PATH ENTRANCE RATE SECONDS`,
// with the token in BENCH_TOKEN. Prints JSON: the latency of each request in µs, and how many had which status.
import { readFileSync } from "node:fs";
import { connect } from "node:http2";

const SESSIONS = 8;
const [port, authorities, path, entrance, rate, seconds] = process.argv.slice(2);
const ca = readFileSync(authorities);
const sessions = Array.from({ length: SESSIONS }, () => connect(`https://localhost:${port}`, { ca }));
const headers = {
  ":method": "POST",
  ":path": path,
  authorization: `Bearer ${process.env.BENCH_TOKEN}`,
  "content-type": "application/json",
};
const [latencies, statuses] = [[], {}];
const now = () => Number(process.hrtime.bigint()) / 1e3;
let [sent, open] = [0, 0];

function send() {
  // For different people: one that is in flight is not sent a second time.
  const person = `${sent.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`;
  const request = sessions[sent % SESSIONS].request(headers);
  const since = now();
  let status;
  sent += 1;
  open += 1;
  request.on("response", (found) => { status = found[":status"]; });
  request.on("end", () => {
    latencies.push(Math.round(now() - since));
    statuses[status] = (statuses[status] ?? 0) + 1;
    open -= 1;
  });
  request.resume();
  request.end(`{"acs_entrance_id":"${entrance}","user_identity_id":"${person}"}`);
}

await Promise.all(sessions.map((session) => new Promise((done) => session.once("connect", done))));
const began = now();
const timer = setInterval(() => {
  const due = Math.min(rate * seconds, Math.floor((now() - began) / 1e6 * rate));
  while (sent < due) send();
  if (sent < rate * seconds || open) return;
  clearInterval(timer);
  for (const session of sessions) session.close();
  process.stdout.write(JSON.stringify({ latencies, statuses }));
}, 1);
