// One answer: the post with the words its chain quotes, the label's probabilities, the chain as it is written.

import { readChain } from "./chain.js";
import { copy, el, get, percent, spoken } from "./dom.js";
import { markedPost } from "./quotes.js";
import { asCurl, asPython } from "./snippets.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** What a label means to people: a letter with its choice, any other label as it is. */
export function meaning(label, choices = []) {
  const choice = choices[LETTERS.indexOf(label)];
  return label && label.length === 1 && choice ? `${label}, ${choice}` : label;
}

export class Answer {
  constructor(task) {
    this.task = task;
    this.root = get("answer");
    this.status = get("status");
    this.empty();
  }

  empty() {
    const question = this.task.needs.choices;
    const ask = question ? "Ask a question." : "Ask about a post.";
    const label = question ? "answer" : "label";
    this.root.replaceChildren(el("p", { class: "nothing soft" }, this.task.chain_first
      ? `${ask} The rationale comes first, as it is written; then the ${label} that rests on it, scored exactly.`
      : `${ask} The ${label} comes first, exact and at once; then the chain that explains it, field by field.`));
  }

  /** A new question; `picture` is an address within this page, or empty. */
  begin(question, picture, waiting = true) {
    this.question = question;
    this.text = "";
    this.likeliest = null;
    this.post = el("blockquote", { class: "said", dir: "auto" }, question.text);
    this.bars = el("div", { class: "label" });
    this.chain = el("dl", { class: "chain" });
    this.note = el("div", { class: "note" });
    this.foot = el("div", { class: "foot" });
    const about = [question.aspect && `towards ${question.aspect}`, question.context, question.caption].filter(Boolean);
    const head = el("div", { class: "head" },
      picture ? el("img", { src: picture, alt: "The picture of this post" }) : null,
      el("div", { class: "words" }, this.post, ...about.map((line) => el("p", { class: "chip plain" }, line))));
    this.root.replaceChildren(head, this.bars, this.chain, this.note, this.foot);
    this.root.setAttribute("aria-busy", String(waiting));
    if (!waiting) return;
    this.bars.append(el("p", { class: "soft waiting" }, "Reading picture and text"));
    this.status.textContent = "Asking.";
  }

  probabilities(shares, label) {
    const entries = Object.entries(shares);
    const best = label ?? entries.reduce((a, b) => (b[1] > a[1] ? b : a), ["", -1])[0];
    this.likeliest = best;
    const name = (key) => meaning(key, this.question.choices);
    const list = el("ul", { class: "bars" });
    for (const [key, share] of entries) {
      const fill = el("span", { class: `fill ${this.tint(key)}` });
      fill.style.width = `${Math.max(0.5, 100 * share)}%`;
      list.append(el("li", key === best ? { class: "best" } : {},
        el("span", { class: "name" }, name(key)), el("span", { class: "track", "aria-hidden": "true" }, fill),
        el("span", { class: "share" }, percent(share))));
    }
    const headline = el("p", { class: "headline" }, el("span", { class: `dot ${this.tint(best)}` }), el("strong", {}, name(best) || "no label"));
    this.bars.replaceChildren(headline, list);
    this.sure = shares[best] ?? 0;
    this.status.textContent = `Label: ${name(best)}, ${percent(this.sure)}.`;
  }

  tint(label) {
    const labels = this.question.choices?.length ? [...LETTERS] : this.task.labels;
    return `tint-${Math.max(0, labels.indexOf(label)) % 8}`;
  }

  piece(text) {
    this.text += text;
    this.fields(readChain(this.text, this.task.fields));
    this.chain.lastElementChild?.classList.add("writing");
  }

  /** Draws what has changed; a field that stands keeps its element, so that reading is not disturbed. */
  fields(pairs) {
    const shown = pairs.filter(([name]) => name !== "Prediction");
    shown.forEach(([name, value], index) => {
      let [term, said] = [this.chain.children[2 * index], this.chain.children[2 * index + 1]];
      if (!said) {
        term = el("dt", {}, spoken(name) || "Rationale");
        said = el("dd", { dir: "auto" });
        this.chain.append(term, said);
      }
      if (said.textContent !== value) said.textContent = value;
      said.classList.remove("writing");
    });
    while (this.chain.children.length > 2 * shown.length) this.chain.lastElementChild.remove();
    this.post.replaceChildren(...markedPost(this.question.text, shown.map(([, value]) => value)));
  }

  /** The whole answer, as the service sums it up. */
  done(answer, wall) {
    this.root.setAttribute("aria-busy", "false");
    if (answer.probabilities && Object.keys(answer.probabilities).length) this.probabilities(answer.probabilities, answer.label);
    else this.bars.replaceChildren();
    const fields = Object.entries(answer.fields || {});
    const order = (name) => this.task.fields.indexOf(name);
    fields.sort((a, b) => order(a[0]) - order(b[0]));
    const chain = answer.chain || "";
    this.fields(fields.length ? fields : readChain(chain, this.task.fields));
    if (chain) this.verdict(answer);
    this.finish(wall);
  }

  verdict(answer) {
    const name = (label) => meaning(label, this.question.choices);
    const tell = (kind, sign, title, text) => {
      this.note.className = `note ${kind}`;
      this.note.replaceChildren(el("span", { class: "sign", "aria-hidden": "true" }, sign), el("p", {}, el("strong", {}, title), ` ${text}`));
      this.status.textContent += ` The chain is complete. ${title} ${text}`;
    };
    if (answer.agrees === true) {
      tell("same", "\u2713", "Label and chain agree.", `The chain ends with ${name(answer.chain_label)} as well.`);
    } else if (answer.agrees === false) {
      tell("differs", "\u2260", "Label and chain differ.",
        `The label is ${name(answer.label)} (${percent(this.sure)}), but the chain ends with ${name(answer.chain_label)}. Judge for yourself.`);
    } else {
      const why = { empty: "it is empty", outside_label_set: "it ends with a word that is no label", several_predictions: "it names several" };
      const reason = answer.cut ? "it was cut off at the length limit" : why[answer.chain_problem] || "it ends without one";
      tell("open", "?", "The chain names no label:", `${reason}.`);
    }
  }

  finish(wall) {
    const curl = el("button", { type: "button", class: "quiet", onclick: () => copy(curl, asCurl(this.question)) }, "Copy as curl");
    const python = el("button", { type: "button", class: "quiet", onclick: () => copy(python, asPython(this.question)) }, "Copy as Python");
    this.foot.replaceChildren(wall ? el("span", { class: "soft" }, wall) : "", el("span", { class: "push" }), curl, python);
  }

  /** What has come stays; the sentence says why no more came. */
  stopped(sentence) {
    this.root.setAttribute("aria-busy", "false");
    this.chain.lastElementChild?.classList.remove("writing");
    this.bars.querySelector(".waiting")?.remove();
    this.note.className = "note open";
    this.note.replaceChildren(el("p", {}, sentence));
    this.status.textContent = sentence;
  }
}
