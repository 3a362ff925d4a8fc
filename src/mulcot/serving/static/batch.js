// The tab for tables: send, watch, filter, keep.

import { meaning } from "./answer.js";
import { batch } from "./api.js";
import { download, droppable, el, get, percent, say, spoken } from "./dom.js";
import { markedPost } from "./quotes.js";
import { asCsv, asJsonl, passes } from "./results.js";

const STEP = 100;

export class Batch {
  constructor(task, most, fail) {
    this.task = task;
    this.most = most;
    this.fail = fail;
    this.answers = [];
    this.shown = STEP;
    this.picks = { table: new Pick("table", "CSV, TSV or JSON Lines"), zip: new Pick("zip", "a zip, where posts have pictures") };
    get("batch").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    get("batch-cancel").addEventListener("click", () => this.leaving?.abort());
    for (const id of ["filter-label", "filter-kind"]) get(id).addEventListener("change", () => this.draw((this.shown = STEP)));
    get("batch-more").addEventListener("click", () => this.draw((this.shown += STEP)));
    get("save-csv").addEventListener("click", () => download("answers.csv", "text/csv", asCsv(this.answers, this.labels(), task.fields)));
    get("save-jsonl").addEventListener("click", () => download("answers.jsonl", "application/x-ndjson", asJsonl(this.answers)));
    const extra = ["aspect", "choices", "context", "caption"].filter((name) => task.needs[name]);
    get("batch-columns").textContent = extra.length ? `, ${extra.join(", ")}` : "";
  }

  async send() {
    const { table, zip } = this.picks;
    say(get("batch-problem"), table.file ? "" : "Choose a table first.");
    if (!table.file) return get("table-file").focus();
    // Beyond the limit the service ends the connection, which would look like a broken one.
    const size = table.file.size + (zip.file?.size ?? 0);
    if (size > this.most) {
      const [is, may] = [size, this.most].map((bytes) => Math.ceil(bytes / 1e6).toLocaleString("en"));
      return say(get("batch-problem"), `Table and zip are ${is} MB together; at most ${may} MB are allowed. Split them.`);
    }
    const form = new FormData();
    form.append("table", table.file);
    if (zip.file) form.append("images", zip.file);
    form.append("label_only", String(get("batch-label-only").checked));
    this.begin();
    try {
      for await (const said of batch(form, this.leaving.signal)) this.take(said);
      this.end(`All ${this.total} rows are accounted for.`);
    } catch (error) {
      if (error.name === "AbortError") return this.end(`Cancelled after ${this.answers.length} of ${this.total ?? "all"} rows.`);
      this.end(this.total === null ? "" : `Stopped after ${this.answers.length} of ${this.total} rows.`);
      get("batch-result").hidden = this.total === null;
      this.fail(error, get("batch-problem"));
    }
    return undefined;
  }

  begin() {
    [this.answers, this.total, this.shown, this.leaving] = [[], null, STEP, new AbortController()];
    get("batch-result").hidden = false;
    get("batch-send").disabled = true;
    get("batch-cancel").hidden = false;
    get("batch-progress").hidden = false;
    get("batch-progress").removeAttribute("value");
    get("batch-count").textContent = "Sending the files.";
    this.filters();
    this.draw();
  }

  take(said) {
    if (said.total !== undefined) {
      this.total = said.total;
      get("batch-progress").max = said.total;
      get("batch-progress").value = 0;
    } else {
      this.answers.push(said);
      this.scheduled ??= requestAnimationFrame(() => this.refresh());
    }
  }

  /** At most once a frame, however fast rows come. */
  refresh() {
    this.scheduled = undefined;
    this.filters();
    this.draw();
    if (!this.leaving) return;
    get("batch-progress").value = this.answers.length;
    get("batch-count").textContent = `${this.answers.length} of ${this.total} rows`;
  }

  end(sentence) {
    const refused = this.answers.filter((answer) => answer.rejected).length;
    const differ = this.answers.filter((answer) => answer.agrees === false).length;
    this.leaving = null;
    get("batch-progress").hidden = true;
    get("batch-send").disabled = false;
    get("batch-cancel").hidden = true;
    for (const id of ["save-csv", "save-jsonl"]) get(id).disabled = !this.answers.length;
    const more = [refused && `${refused} not answered`, differ && `label and chain differ in ${differ}`].filter(Boolean);
    get("batch-count").textContent = [sentence, more.length ? `${more.join(", ")}.` : ""].join(" ").trim();
    this.refresh();
  }

  labels() {
    const seen = new Set(this.answers.flatMap((answer) => Object.keys(answer.probabilities || {})));
    return this.task.needs.choices ? [...seen].sort() : this.task.labels;
  }

  filters() {
    const select = get("filter-label");
    const labels = this.labels();
    if (select.options.length === labels.length + 1) return;
    const chosen = select.value;
    select.replaceChildren(el("option", { value: "" }, "all"), ...labels.map((label) => el("option", { value: label }, label)));
    select.value = labels.includes(chosen) ? chosen : "";
  }

  draw() {
    const fit = this.answers.filter((answer) => passes(answer, get("filter-label").value, get("filter-kind").value));
    fit.sort((a, b) => a.row - b.row);
    get("batch-rows").replaceChildren(...fit.slice(0, this.shown).map((answer) => this.row(answer)));
    const filtered = get("filter-label").value || get("filter-kind").value;
    get("batch-shown").textContent = filtered ? `${fit.length} rows` : "";
    get("batch-more").hidden = fit.length <= this.shown;
  }

  row(answer) {
    const values = Object.entries(answer.fields || {}).filter(([name]) => name !== "Prediction");
    const post = el("td", { class: "post", dir: "auto" }, ...markedPost(answer.text || "", values.map(([, value]) => value)),
      answer.aspect ? el("span", { class: "chip plain" }, `towards ${answer.aspect}`) : null);
    const number = el("td", { class: "n soft" }, String(answer.row));
    if (answer.rejected) {
      const why = el("td", { colspan: "4" }, el("strong", { class: "bad" }, spoken(answer.rejected.reason)), ` ${answer.rejected.detail}`);
      return el("tr", { class: "rejected" }, number, post, why);
    }
    const sure = answer.probabilities?.[answer.label];
    const tint = `dot tint-${Math.max(0, this.labels().indexOf(answer.label)) % 8}`;
    const chain = values.length
      ? el("details", {}, el("summary", {}, "read"), el("dl", { class: "chain" }, ...values.flatMap(([name, value]) => [el("dt", {}, spoken(name)), el("dd", { dir: "auto" }, value)])))
      : answer.chain || "";
    return el("tr", answer.agrees === false ? { class: "differs" } : {}, number, post,
      el("td", { class: "label" }, el("span", { class: tint }), ` ${meaning(answer.label, answer.choices) ?? "none"}`),
      el("td", { class: "n" }, sure === undefined ? "" : percent(sure)),
      el("td", {}, answer.agrees === false ? el("strong", { class: "bad" }, `\u2260 ${meaning(answer.chain_label, answer.choices)}`) : meaning(answer.chain_label, answer.choices) || ""),
      el("td", {}, chain));
  }
}

/** One chosen file and its name. */
class Pick {
  constructor(name, hint) {
    this.file = null;
    const input = get(`${name}-file`);
    const show = (file) => {
      this.file = file;
      get(`${name}-name`).textContent = file ? file.name : hint;
      get(`${name}-well`).classList.toggle("filled", Boolean(file));
    };
    input.required = false;
    input.addEventListener("change", () => show(input.files[0] || null));
    droppable(get(`${name}-well`), show);
  }
}
