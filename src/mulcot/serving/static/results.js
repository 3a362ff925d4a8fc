// Answers of a table as files: JSON lines as they came, and CSV that no spreadsheet can be made to execute.

const FORMULA = /^\s*[=+\-@|%\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/u;

/** One cell, quoted; what a spreadsheet could take for a formula begins with an apostrophe. */
export function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = String(value);
  return `"${(FORMULA.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

/** In the order of the table, whatever the order of completion was. */
const inOrder = (answers) => [...answers].sort((a, b) => a.row - b.row);

export function asJsonl(answers) {
  return inOrder(answers).map((answer) => `${JSON.stringify(answer)}\n`).join("");
}

export function asCsv(answers, labels, fields) {
  const head = ["row", "id", "text", "aspect", "label", ...labels.map((label) => `probability ${label}`), "chain_label", "agrees", ...fields, "rejected", "detail"];
  const lines = inOrder(answers).map((answer) => [
    answer.row, answer.id, answer.text, answer.aspect, answer.label,
    ...labels.map((label) => answer.probabilities?.[label]), answer.chain_label,
    answer.agrees === undefined || answer.agrees === null ? "" : answer.agrees ? "yes" : "no",
    ...fields.map((name) => answer.fields?.[name]), answer.rejected?.reason, answer.rejected?.detail,
  ]);
  // The mark at the start tells spreadsheets that this is UTF-8.
  return `\ufeff${[head, ...lines].map((line) => line.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** Whether an answer passes the filters. */
export function passes(answer, label, kind) {
  if (label && answer.label !== label) return false;
  if (kind === "rejected") return Boolean(answer.rejected);
  if (kind === "agrees") return answer.agrees === true;
  if (kind === "differs") return answer.agrees === false;
  return true;
}
