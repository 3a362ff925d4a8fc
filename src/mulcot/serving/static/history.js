// What was asked before, in this browser only: few, small, and gone with one click.

import { el, get } from "./dom.js";
import { meaning } from "./answer.js";

const KEY = "mulcot-history";
const OFF = "mulcot-history-off";
const MOST = 24;
const LONGEST = 60_000;

export class History {
  constructor(open) {
    this.open = open;
    this.list = get("history-list");
    this.on = get("history-on");
    this.on.checked = read(OFF) !== true;
    this.on.addEventListener("change", () => {
      write(OFF, !this.on.checked);
      if (!this.on.checked) write(KEY, null);
      this.draw();
    });
    get("history-clear").addEventListener("click", () => {
      write(KEY, null);
      this.draw();
      this.on.focus();
    });
    this.draw();
  }

  entries() {
    const found = read(KEY);
    return Array.isArray(found) ? found.filter((entry) => entry?.question && entry?.answer) : [];
  }

  add(question, answer, thumb) {
    if (!this.on.checked) return;
    const entry = { question: { ...question, image: undefined }, answer, thumb };
    if (JSON.stringify(entry).length > LONGEST) return;
    let entries = [entry, ...this.entries()].slice(0, MOST);
    // The browser's own limit may be lower than ours: the oldest go first.
    while (entries.length && !write(KEY, entries)) entries = entries.slice(0, entries.length >> 1);
    this.draw();
  }

  draw() {
    const entries = this.on.checked ? this.entries() : [];
    get("history-clear").hidden = !entries.length;
    get("history-note").textContent = !this.on.checked ? "Nothing is kept." : entries.length ? "" : "Answers you get are listed here, in this browser only.";
    this.list.replaceChildren(...entries.map((entry) => this.tile(entry)));
  }

  tile({ question, answer, thumb }) {
    return el("li", {}, tile(thumb, question.text, meaning(answer.label, question.choices), () => this.open(question, answer, thumb)));
  }
}

/** A post as a button. */
export function tile(picture, text, label, act) {
  const safe = typeof picture === "string" && picture.startsWith("data:image/") ? picture : "";
  return el("button", { type: "button", class: "tile", onclick: act },
    safe ? el("img", { src: safe, alt: "" }) : el("span", { class: "blank", "aria-hidden": "true" }),
    el("span", { class: "lines" }, el("span", { class: "what", dir: "auto" }, text), label ? el("span", { class: "chip" }, label) : null));
}

function read(key) {
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
}

function write(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
