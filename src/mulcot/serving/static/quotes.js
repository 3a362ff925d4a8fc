// Which words of the post a chain quotes, and where they stand in it.

const QUOTES = [
  /"([^"\n]{2,})"/gu,
  /\u201c([^\u201d\n]{2,})\u201d/gu,
  /\u2018([^\n]{2,}?)\u2019(?![\p{L}\p{N}])/gu,
  /(?<![\p{L}\p{N}])'([^\n]{2,}?)'(?![\p{L}\p{N}])/gu,
  /`([^`\n]{2,})`/gu,
];
const LONGEST = 2000;

/** The places [start, end] in `post` of everything that `values` quote; in order, never overlapping. */
export function quotedPlaces(post, values) {
  const quotes = new Set();
  for (const value of values) {
    for (const pattern of QUOTES) {
      for (const match of value.slice(0, 20_000).matchAll(pattern)) {
        for (const part of match[1].split(/\u2026|\.{3}/)) quotes.add(part.trim().slice(0, LONGEST));
      }
    }
  }
  const places = [];
  for (const quote of quotes) places.push(...placesOf(quote, post));
  return merged(places);
}

function placesOf(quote, post) {
  const words = quote.replace(/^[\s.,;:!?]+|[\s.,;:!?]+$/gu, "").split(/\s+/u);
  if (words.join("").length < 2) return [];
  const inner = words.map((word) => word.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")).join("\\s+");
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])${inner}(?![\\p{L}\\p{N}])`, "giu");
  return [...post.matchAll(pattern)].map((match) => [match.index, match.index + match[0].length]);
}

function merged(places) {
  const out = [];
  for (const [start, end] of places.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    const last = out.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else out.push([start, end]);
  }
  return out;
}

/** The post as nodes, quoted words marked. */
export function markedPost(post, values) {
  const nodes = [];
  let at = 0;
  for (const [start, end] of quotedPlaces(post, values)) {
    const mark = document.createElement("mark");
    mark.textContent = post.slice(start, end);
    nodes.push(post.slice(at, start), mark);
    at = end;
  }
  nodes.push(post.slice(at));
  return nodes.filter((node) => node !== "");
}
