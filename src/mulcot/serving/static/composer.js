// The form for one post: what the task needs is shown, checked and put into a question.

import { get, say } from "./dom.js";
import { fileOf, Picture } from "./picture.js";

export class Composer {
  constructor(send) {
    this.form = get("ask");
    this.picture = new Picture((sentence) => this.complain(sentence));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
  }

  /** Shows the fields of this task. */
  fit(task, limits) {
    for (const name of ["aspect", "choices", "context", "caption"]) get(`${name}-field`).hidden = !task.needs[name];
    for (const name of ["aspect", "choices", "context"]) get(name).required = task.required.includes(name);
    if (task.needs.choices) {
      get("text-label").textContent = "Question";
      get("ask-title").textContent = "The question";
      get("tab-one").textContent = "One question";
      get("tab-many").textContent = "Many questions";
      get("batch-title").textContent = "A table of questions";
      get("zip-name").textContent = "a zip, where questions have pictures";
      get("send").textContent = "Explain and answer";
    }
    // Where the answer rests on the chain, leaving it out saves nothing.
    for (const name of ["label-only", "batch-label-only"]) get(name).parentElement.hidden = Boolean(task.chain_first);
    this.task = task;
    this.picture.most = limits.picture;
  }

  complain(sentence) {
    say(get("ask-problem"), sentence);
  }

  /** As the service takes it. */
  async question() {
    const value = (name) => (this.task.needs[name] ? get(name).value.trim() : "");
    return {
      text: get("text").value,
      image: await this.picture.dataUrl(),
      aspect: value("aspect") || undefined,
      choices: value("choices") ? value("choices").split("\n").map((line) => line.trim()).filter(Boolean) : undefined,
      context: value("context") || undefined,
      caption: value("caption") || undefined,
      label_only: get("label-only").checked,
    };
  }

  fill(example) {
    this.complain("");
    get("text").value = example.text;
    get("aspect").value = example.aspect || "";
    get("choices").value = (example.choices || []).join("\n");
    get("context").value = example.context || "";
    get("caption").value = example.caption || "";
    if (example.image) this.picture.show(fileOf(example.image, "example.jpg"));
    else this.picture.clear();
  }

  working(busy) {
    get("send").disabled = busy;
    get("stop").hidden = !busy;
  }
}
