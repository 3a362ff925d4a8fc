// The question as a command and as a program, to take along.

import { token } from "./api.js";

const address = () => new URL("v1/predict", document.baseURI).href;
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const parts = (question) => Object.fromEntries(
  ["text", "aspect", "choices", "context", "caption", "label_only"].filter((key) => question[key]?.length || question[key] === true).map((key) => [key, question[key]]));

/** For a shell: a form, so that the picture stays a file of its own. */
export function asCurl(question) {
  const field = (name, value) => `--form-string ${shell(`${name}=${value}`)}`;
  const file = (question.name || "picture.jpg").replace(/["\\]/g, "\\$&");
  const lines = [
    `curl ${shell(address())}`,
    ...(token() ? ['-H "Authorization: Bearer $MULCOT_TOKEN"'] : []),
    ...Object.entries(parts(question)).flatMap(([name, value]) => [value].flat().map((one) => field(name, one))),
    ...(question.image ? [`--form ${shell(`image=@"${file}"`)}`] : []),
  ];
  return lines.join(" \\\n  ");
}

/** For Python, with its standard library alone. */
export function asPython(question) {
  const body = JSON.stringify(parts(question), null, 4).replace(/^( {4}"label_only": )true$/m, "$1True");
  const picture = JSON.stringify(question.name || "picture.jpg");
  return [
    `import ${[question.image && "base64", "json", token() && "os", "urllib.request"].filter(Boolean).join(", ")}`,
    "",
    `question = ${body}`,
    ...(question.image ? [`with open(${picture}, "rb") as file:`, '    question["image"] = base64.b64encode(file.read()).decode()'] : []),
    "request = urllib.request.Request(",
    `    ${JSON.stringify(address())},`,
    "    json.dumps(question).encode(),",
    token()
      ? '    {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["MULCOT_TOKEN"]},'
      : '    {"Content-Type": "application/json"},',
    ")",
    "with urllib.request.urlopen(request) as reply:",
    "    answer = json.load(reply)",
    'print(answer["label"], answer["probabilities"])',
    "",
  ].join("\n");
}
