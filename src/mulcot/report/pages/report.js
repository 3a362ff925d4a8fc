"use strict";
(() => {
  const form = document.getElementById("filters");
  if (!form) return;
  const cases = [...document.querySelectorAll("article.case")];
  const chosen = (id) => document.getElementById(id)?.value || "";
  const visible = () => cases.filter((one) => !one.hidden);

  function filter() {
    const [set, label, outcome] = [chosen("by-set"), chosen("by-label"), chosen("by-outcome")];
    const dispute = document.getElementById("by-dispute").checked;
    for (const one of cases) {
      const data = one.dataset;
      const fits = (!set || data.set === set) && (!label || data.label === label) && (!outcome || data.outcome === outcome);
      one.hidden = !(fits && (!dispute || "dispute" in data));
    }
    const count = visible().length;
    document.getElementById("shown").textContent = `${count} shown`;
    document.getElementById("empty").hidden = count > 0;
  }

  function move(step) {
    const list = visible();
    const at = list.indexOf(document.activeElement?.closest("article.case"));
    const next = list[Math.min(list.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "start" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input")) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
  });
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
})();
