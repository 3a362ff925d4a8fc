// The page: asks what the service is, then lets people ask it.

import { Answer } from "./answer.js";
import { ask, info, keepToken } from "./api.js";
import { Batch } from "./batch.js";
import { Composer } from "./composer.js";
import { el, get, say } from "./dom.js";
import { History, tile } from "./history.js";
import { tabs } from "./tabs.js";
import { thumbnail } from "./picture.js";

let answer = null;
let batch = null;
let leaving = null;
let again = start;
const composer = new Composer(send);
const history = new History(recall);

tabs(document.querySelector("[role=tablist]"));
get("stop").addEventListener("click", () => leaving?.abort());
get("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(get("token").value.trim());
  get("token").value = "";
  get("token-form").hidden = true;
  again();
});
start();

async function start() {
  again = start;
  get("send").disabled = get("batch-send").disabled = true;
  try {
    const about = await info();
    const task = { labels: [], fields: [], ...about.task, needs: { ...about.task.needs } };
    get("model").textContent = `${about.model} \u00b7 ${task.name.replaceAll("_", " ")}`;
    get("version").textContent = `mulcot ${about.version}.`;
    composer.fit(task, { picture: about.limits.image_bytes });
    answer ??= new Answer(task);
    if (!get("example-list").children.length) show(about.examples || []);
    batch ??= new Batch(task, about.limits.upload_bytes, fail);
    composer.complain("");
    get("send").disabled = get("batch-send").disabled = false;
  } catch (error) {
    fail(error, get("ask-problem"));
  }
}

function show(examples) {
  get("examples").hidden = !examples.length;
  get("example-list").replaceChildren(...examples.map((example) => el("li", {}, tile(example.image, example.text, example.aspect && `towards ${example.aspect}`, () => {
    composer.fill(example);
    send();
  }))));
}

async function send() {
  again = send;
  leaving?.abort();
  const mine = new AbortController();
  leaving = mine;
  composer.complain("");
  composer.working(true);
  try {
    const name = composer.picture.file?.name;
    const question = await composer.question();
    answer.begin({ ...question, name }, composer.picture.url);
    look();
    await follow(question, name, mine.signal);
  } catch (error) {
    if (leaving !== mine) return;
    if (error.name === "AbortError") answer.stopped("Stopped.");
    else {
      answer.stopped("There is no complete answer.");
      fail(error, get("ask-problem"));
    }
  }
  if (leaving !== mine) return;
  leaving = null;
  composer.working(false);
}

/** Shows an answer as it comes. */
async function follow(question, name, signal) {
  const begun = performance.now();
  const since = () => duration(performance.now() - begun);
  const file = composer.picture.file;
  let first = "";
  for await (const [event, said] of ask(question, signal)) {
    if (event === "probabilities") {
      first = `label after ${since()}`;
      answer.probabilities(said.probabilities ?? said, said.label);
    } else if (event === "chain") {
      answer.piece(said.text);
    } else if (event === "done") {
      const all = said.chain ? `, chain after ${since()}` : "";
      answer.done(said, `${first || `answered after ${since()}`}${first ? all : ""}`);
      history.add({ ...question, name }, said, await thumbnail(file));
    }
  }
}

const duration = (ms) => (ms < 1000 ? `${Math.max(10, Math.round(ms / 10) * 10)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** On a narrow screen the answer stands below the form. */
function look() {
  const title = get("answer-title");
  if (title.getBoundingClientRect().top < window.innerHeight - 160) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  title.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
}

function recall(question, said, picture) {
  if (!answer) return;
  leaving?.abort();
  leaving = null;
  composer.working(false);
  composer.fill({ ...question, image: "" });
  answer.begin({ ...question, image: picture }, picture, false);
  answer.done(said, "from this browser's history");
  get("answer-title").focus();
}

function fail(error, place) {
  if (error.status === 401) {
    get("token-form").hidden = false;
    get("token").focus();
  }
  // What is no `Problem` is a mistake of ours, and the console should show it.
  if (error.status === undefined) console.error(error);
  say(place, error.status === undefined ? "Something went wrong in this page. Reload it and try again." : error.message);
}
