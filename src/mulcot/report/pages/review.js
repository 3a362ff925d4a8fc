"use strict";
(() => {
  const bar = document.getElementById("bar");
  const cards = [...document.querySelectorAll("article.pair")];
  const rateable = cards.filter((card) => card.dataset.chain);
  const key = `mulcot-review:${bar.dataset.page}`;
  const rater = document.getElementById("rater");
  const selects = ["outcome", "reason", "label", "rated"].map((id) => document.getElementById(id)).filter(Boolean);

  const questions = (card) => [...card.querySelectorAll("fieldset")];
  const chosen = (fieldset) => fieldset.querySelector("input:checked");
  const rated = (card) => card.dataset.chain && questions(card).every(chosen);
  const visible = () => cards.filter((card) => !card.hidden);

  const values = (card) =>
    Object.fromEntries(questions(card).map((q) => [q.dataset.question, chosen(q) ? Number(chosen(q).value) : null]));

  function collect() {
    const touched = rateable.filter((card) => questions(card).some(chosen));
    const ratings = touched.map((card) => ({
      example_id: card.dataset.id, chain: card.dataset.chain, stage: Number(card.dataset.stage),
      label: card.dataset.label, values: values(card),
    }));
    return { format: 1, run: bar.dataset.run, page: bar.dataset.page, rater: rater.value.trim(), ratings };
  }

  function keep() {
    try { localStorage.setItem(key, JSON.stringify(collect())); } catch { /* private mode: kept in the page alone */ }
  }

  function restore() {
    let data = null;
    try { data = JSON.parse(localStorage.getItem(key)); } catch { /* as above */ }
    if (!data) return;
    rater.value = data.rater || "";
    const known = new Map(rateable.map((card) => [`${card.dataset.id} ${card.dataset.chain}`, card]));
    for (const row of data.ratings || []) {
      const card = known.get(`${row.example_id} ${row.chain}`);
      for (const q of card ? questions(card) : []) {
        for (const input of q.querySelectorAll("input")) input.checked = Number(input.value) === row.values[q.dataset.question];
      }
    }
  }

  function count() {
    const done = rateable.filter(rated).length;
    const progress = document.getElementById("progress");
    progress.max = Math.max(1, rateable.length);
    progress.value = done;
    document.getElementById("count").textContent = `${done} of ${rateable.length} chains rated`;
    document.getElementById("save").disabled = !rateable.some((card) => questions(card).some(chosen));
    for (const card of rateable) {
      const open = questions(card).find((q) => !chosen(q));
      for (const q of questions(card)) q.classList.toggle("next", q === open && card === document.activeElement?.closest("article"));
    }
  }

  function filter() {
    const [outcome, reason, label, state] = ["outcome", "reason", "label", "rated"].map((id) => document.getElementById(id)?.value || "");
    for (const card of cards) {
      const data = card.dataset;
      const fits = (!outcome || data.outcome === outcome) && (!reason || data.reason === reason) && (!label || data.label === label);
      const inState = !state || (Boolean(data.chain) && (state === "done") === Boolean(rated(card)));
      card.hidden = !(fits && inState);
    }
    const shown = visible().length;
    document.getElementById("shown").textContent = `${shown} shown`;
    document.getElementById("empty").hidden = shown > 0;
  }

  function changed() { keep(); count(); }

  function move(step) {
    const list = visible();
    if (!list.length) return;
    const at = list.indexOf(document.activeElement?.closest("article"));
    const next = list[Math.min(list.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
    next.focus();
    next.scrollIntoView({ block: "start" });
  }

  function rate(value) {
    const card = document.activeElement?.closest("article");
    if (!card || !card.dataset.chain) return;
    if (value === 0) {
      for (const input of card.querySelectorAll("input:checked")) input.checked = false;
    } else {
      const open = questions(card).find((q) => !chosen(q));
      if (!open) return;
      open.querySelector(`input[value="${value}"]`).checked = true;
    }
    changed();
  }

  function save() {
    const blob = new Blob([JSON.stringify({ ...collect(), saved: new Date().toISOString() }, null, 2)], { type: "application/json" });
    const link = document.createElement("a");
    const safe = (text) => text.replace(/[^\w-]+/g, "-").replace(/^-+|-+$/g, "");
    link.href = URL.createObjectURL(blob);
    link.download = ["ratings", safe(bar.dataset.run), safe(rater.value)].filter(Boolean).join("-") + ".json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, .bar input, summary, pre")) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (/^[0-5]$/.test(event.key)) rate(Number(event.key));
    else return;
    event.preventDefault();
  });
  document.getElementById("cards").addEventListener("change", changed);
  document.addEventListener("focusin", count);
  rater.addEventListener("input", keep);
  for (const select of selects) select.addEventListener("change", filter);
  document.getElementById("save").addEventListener("click", save);
  bar.addEventListener("submit", (event) => event.preventDefault());
  restore();
  filter();
  count();
})();
