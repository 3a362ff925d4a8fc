// A chain as text, read while it is still being written: one quoted line per field.
//
//     "Text_analysis": "The words praise the evening."
//     "Prediction": "positive"

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** What may follow a value: nothing yet, or its closing quote and then a next field whose name is not complete. */
const CLOSED = /^(?:"[ \t,}*`]*(?:\n[\s"'*]*\w*["'*]*[ \t]*:?[\s}`]*)?|\\.{0,4})?$/s;

/** The fields so far as [name, value]; a chain without fields, as some methods write it, is one value without a name. */
export function readChain(text, names) {
  const words = names.map(escaped).join("|");
  const marker = new RegExp(`(?:^|\\n|["'}{,])[ \\t]*["'*]*(${words})["'*]*[ \\t]*[:\\uff1a][ \\t]*`, "g");
  const found = words ? [...text.matchAll(marker)] : [];
  if (!found.length) return text.trim() && !beginsField(text, names) ? [["", text.trim()]] : [];
  const values = new Map();
  found.forEach((match, index) => {
    const end = index + 1 < found.length ? found[index + 1].index : text.length;
    const value = readValue(text.slice(match.index + match[0].length, end));
    if (!values.has(match[1])) values.set(match[1], value);
  });
  return [...values];
}

/** Whether the text so far may become the name of a field. */
function beginsField(text, names) {
  const start = text.trim().replace(/^["'*{]+\s*["'*]*/, "").replace(/["'*]*\s*:?\s*$/, "");
  return names.some((name) => name.startsWith(start));
}

function readValue(raw) {
  const text = raw.trim();
  if (!text.startsWith('"')) return text.replace(/[",]+$/, "");
  // An escape that is not complete yet is left out until it is.
  const [, said] = /^"((?:[^"\\]|\\.)*)/s.exec(text.replace(/(^|[^\\])((?:\\\\)*)\\(u[0-9a-fA-F]{0,3})?$/, "$1$2"));
  const rest = text.slice(1 + said.length);
  // Quotes inside the value may have been written without escapes.
  const inner = CLOSED.test(rest) ? said : text.slice(1).replace(/"\s*,?\s*$/, "");
  const signs = { n: "\n", t: "\t", r: "\r" };
  return inner.replace(/\\(u[0-9a-fA-F]{4}|.)/gs, (whole, sign) =>
    sign.length > 1 ? String.fromCharCode(parseInt(sign.slice(1), 16)) : signs[sign] ?? sign);
}
