// Talking to the service: JSON, server-sent events, JSON lines; every failure as one plain sentence.

const TOKEN = "mulcot-token";

/** What went wrong, in words for people. */
export class Problem extends Error {
  constructor(message, status = 0, seconds = 0) {
    super(message);
    this.status = status;
    this.seconds = seconds;
  }
}

let memory = "";

export function keepToken(given) {
  memory = given;
  try { sessionStorage.setItem(TOKEN, given); } catch { /* storage is off: asked again after a reload */ }
}

export function token() {
  try { return sessionStorage.getItem(TOKEN) || memory; } catch { return memory; }
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    throw unreachable(error);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

function unreachable(error) {
  if (error.name === "AbortError") return error;
  if (!navigator.onLine) return new Problem("You are offline. Connect to the network and try again.");
  return new Problem("The service cannot be reached. It may have been stopped, or the connection broke.");
}

async function refusal(response) {
  let said = "";
  try { said = (await response.json()).error?.message || ""; } catch { /* not ours: a proxy, perhaps */ }
  const seconds = Number(response.headers.get("Retry-After")) || 0;
  return new Problem(sentence(response.status, said, seconds), response.status, seconds);
}

/** The sentence for a status; what the service itself said is added where it helps. */
export function sentence(status, said, seconds) {
  const more = said ? ` ${said.charAt(0).toUpperCase()}${said.slice(1)}${/[.!?]$/.test(said) ? "" : "."}` : "";
  const wait = seconds > 1 ? `in ${seconds} seconds` : "in a moment";
  switch (status) {
    case 401: return "This service needs a token, or the one you gave is not known.";
    case 403: return `The service does not answer this page.${more}`;
    case 408: return "Sending took too long. Try again, or choose a smaller picture.";
    case 413: return `That is too large.${more}`;
    case 400: case 422: return `This cannot be asked.${more}`;
    case 429: return `Too many are asking just now. Try again ${wait}.`;
    case 503: return `The service has no room or is about to stop. Try again ${wait}.`;
    case 504: return "The answer was not ready in time. Try again, or ask for the label only.";
    default: return `The service failed on this request (${status}).${more}`;
  }
}

/** The lines of a reply as they arrive. */
async function* lines(response) {
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const parts = rest.split(/\r\n|\n/);
      rest = parts.pop();
      yield* parts;
      if (done) break;
    }
    if (rest) yield rest;
  } catch (error) {
    throw unreachable(error);
  } finally {
    reader.cancel().catch(() => {});
  }
}

const CUT = "The connection broke before the answer was complete.";

/** What the service is: model, task, limits, examples. */
export async function info() {
  return (await call("v1/info")).json();
}

/** Everything said about one post: [event, data]. */
export async function* ask(question, signal) {
  const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
  const response = await call("v1/predict/stream", { method: "POST", headers, body: JSON.stringify(question), signal });
  let [event, data, complete] = ["message", [], false];
  for await (const line of lines(response)) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    else if (line === "" && data.length) {
      const said = JSON.parse(data.join("\n"));
      if (event === "error") throw failure(said);
      yield [event, said];
      complete ||= event === "done";
      [event, data] = ["message", []];
    }
  }
  if (!complete) throw new Problem(CUT);
}

const STATUS = { deadline: 504, closing: 503, out_of_memory: 503, busy: 429, failed: 500 };

/** What went wrong after the answer had begun, when no status could say so any more. */
function failure({ error }) {
  const status = STATUS[error.code] || 422;
  return new Problem(sentence(status, error.message, 0), status);
}

/** Everything said about a table: objects. */
export async function* batch(form, signal) {
  const response = await call("v1/batch", { method: "POST", body: form, signal });
  let complete = false;
  for await (const line of lines(response)) {
    const said = line ? JSON.parse(line) : {};
    complete ||= Boolean(said.done);
    if (said.row || said.total !== undefined) yield said;
  }
  if (!complete) throw new Problem(CUT);
}
