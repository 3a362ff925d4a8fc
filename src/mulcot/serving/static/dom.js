// Elements, made and found. Text from anywhere becomes text nodes, never markup.

export const get = (id) => document.getElementById(id);

/** An element with attributes and children; strings among the children become text. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Shows a sentence, or hides the place where it would stand. */
export function say(place, text) {
  place.textContent = text || "";
  place.hidden = !text;
}

/** A file to keep, made in the page. */
export function download(name, type, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Copies text, and says on the button that it did. */
export async function copy(button, text) {
  const before = button.dataset.name || button.textContent;
  button.dataset.name = before;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Without https the clipboard may be closed to pages; an old way remains.
    const area = el("textarea", { class: "unseen", "aria-hidden": "true" }, text);
    document.body.append(area);
    area.select();
    button.textContent = document.execCommand("copy") ? "Copied" : "Copying is not allowed here";
    area.remove();
    button.focus();
  }
  setTimeout(() => { button.textContent = before; }, 1600);
}

/** Lets files be dropped on an element. */
export function droppable(place, take) {
  for (const name of ["dragenter", "dragover"]) {
    place.addEventListener(name, (event) => {
      event.preventDefault();
      place.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) place.addEventListener(name, () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

export const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.001 ? 2 : 1)} %`;

/** `Text_analysis` as people write it. */
export const spoken = (name) => name.replaceAll("_", " ");
