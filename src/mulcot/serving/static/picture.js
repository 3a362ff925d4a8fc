// The picture of a post: chosen, dropped or pasted; shown, removed, made small for the history.

import { droppable, get, say } from "./dom.js";

const TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"];

export class Picture {
  constructor(complain) {
    this.complain = complain;
    this.most = Infinity;
    this.file = null;
    this.url = "";
    const input = get("picture-file");
    input.addEventListener("change", () => { if (input.files.length) this.take(input.files[0]); });
    get("picture-remove").addEventListener("click", () => {
      this.clear();
      input.focus();
    });
    droppable(get("picture"), (file) => this.take(file));
    document.addEventListener("paste", (event) => this.paste(event));
    // A picture dropped beside the well must not replace the page.
    for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
  }

  paste(event) {
    const file = [...(event.clipboardData?.files || [])].find((one) => one.type.startsWith("image/"));
    if (!file || get("panel-one").hidden) return;
    event.preventDefault();
    this.take(file);
  }

  take(file) {
    if (!TYPES.includes(file.type)) {
      this.complain(`${file.name || "This"} is not a picture that can be read. Choose a JPEG, PNG, WebP, GIF or BMP.`);
    } else if (file.size > this.most) {
      this.complain(`${file.name} is ${megabytes(file.size)} MB large; at most ${megabytes(this.most)} MB are allowed.`);
    } else {
      this.complain("");
      this.show(file);
    }
    get("picture-file").value = "";
  }

  show(file) {
    this.clear();
    this.file = file;
    this.url = URL.createObjectURL(file);
    get("preview-image").src = this.url;
    get("preview-name").textContent = file.name || "pasted picture";
    this.toggle(true);
  }

  clear() {
    if (this.url) URL.revokeObjectURL(this.url);
    [this.file, this.url] = [null, ""];
    get("preview-image").removeAttribute("src");
    say(get("preview-name"), "");
    get("preview-name").hidden = false;
    this.toggle(false);
  }

  toggle(there) {
    get("preview").hidden = !there;
    get("picture-label").classList.toggle("again", there);
    get("picture-verb").textContent = there ? "Choose another picture" : "Choose a picture";
  }

  /** As the service takes it. */
  dataUrl() {
    if (!this.file) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(new Error("The picture cannot be read any more. Choose it again."));
      reader.readAsDataURL(this.file);
    });
  }
}

const megabytes = (size) => (size / 1e6).toFixed(1);

/** A file of an example's data URL, without a request. */
export function fileOf(dataUrl, name) {
  const [head, body] = dataUrl.split(",", 2);
  const bytes = Uint8Array.from(atob(body), (sign) => sign.charCodeAt(0));
  return new File([bytes], name, { type: /^data:([^;,]+)/.exec(head)[1] });
}

/** A small copy as a data URL; empty where the picture cannot be drawn. */
export async function thumbnail(file, side = 96) {
  if (!file) return "";
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return canvas.toDataURL("image/jpeg", 0.7);
  } catch {
    return "";
  }
}
