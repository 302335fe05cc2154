"use strict";

const WAIT = 150; // milliseconds without a keystroke before the text is sent
const COLORS = 6;
const byId = (name) => document.getElementById(name);
const input = byId("input"), model = byId("model"), kind = byId("kind"), result = byId("result"), status = byId("status");
const colors = new Map(); // type → number of its color, the same for as long as the page is open
let models = new Map();
let timer = 0;
let running = null; // the AbortController of the request that is on its way
let records = []; // the latest answer

const say = (text, wrong = false) => {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
};

const colorOf = (type) => {
  if (!colors.has(type)) colors.set(type, colors.size % COLORS);
  return `color${colors.get(type)}`;
};

const element = (name, text = "", className = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
};

// What is sent: one text, or each line as the tokens of a sentence.
const requestOf = (text) => {
  const options = { model: model.value, scores: true };
  if (kind.value === "text") return { documents: [{ text }], ...options };
  const lines = text.split("\n").map((line) => line.split(/[ \t]+/).filter(Boolean));
  return { documents: lines.filter((tokens) => tokens.length).map((tokens) => ({ tokens })), ...options };
};

const percent = (probability) => `${(100 * probability).toFixed(1)} %`;

const marked = (text, type, probability) => {
  const mark = element("mark", "", colorOf(type));
  mark.dir = "auto";
  const known = probability === undefined ? "" : percent(probability);
  mark.append(element("span", text), element("b", type));
  if (known) mark.append(element("span", known, "tip"));
  mark.tabIndex = -1;
  mark.setAttribute("role", "group");
  mark.setAttribute("aria-label", `${text}, ${type}${known && `, probability ${known}`}`);
  return mark;
};

// Offsets count characters, of which some take two units in JavaScript.
const partsOf = (record) => {
  if (record.spans.length) return [...record.spans].sort((a, b) => a.start - b.start || b.end - a.end);
  if (record.scheme !== undefined) return [];
  return record.sentences.flatMap((sentence, i) => (sentence.tags ?? []).map((tag, j) => ({
    start: sentence.offsets[j][0], end: sentence.offsets[j][1], type: tag, probability: record.scores[i][j],
  })));
};

const show = () => {
  const lines = records.map((record) => {
    const line = element("p"), characters = [...record.text];
    line.dir = "auto";
    let at = 0;
    for (const part of partsOf(record)) {
      if (part.start < at) continue; // it overlaps the one before
      line.append(characters.slice(at, part.start).join(""));
      line.append(marked(characters.slice(part.start, part.end).join(""), part.type, part.probability));
      at = part.end;
    }
    line.append(characters.slice(at).join(""));
    return line;
  });
  result.replaceChildren(...lines);
  result.classList.remove("old");
  const marks = result.querySelectorAll("mark");
  if (marks.length) marks[0].tabIndex = 0;
  const counts = new Map();
  for (const part of records.flatMap(partsOf)) counts.set(part.type, (counts.get(part.type) ?? 0) + 1);
  byId("types").replaceChildren(...[...counts].sort().map(([type, n]) => {
    const item = element("li");
    item.append(element("span", type, colorOf(type)), ` ${n}`);
    return item;
  }));
  for (const name of ["copy-json", "copy-conll"]) byId(name).disabled = !records.length;
  return [...counts.values()].reduce((sum, n) => sum + n, 0);
};

const update = async () => {
  running?.abort();
  running = null; // its answer may have come already, and must not be shown any more
  clearTimeout(timer);
  const request = requestOf(input.value);
  if (!input.value.trim() || !request.documents.length) {
    records = [];
    show();
    say("");
    return;
  }
  const controller = new AbortController();
  running = controller;
  result.classList.add("old");
  try {
    const answer = await fetch("v1/tag", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(request), signal: controller.signal,
    });
    const found = await answer.json();
    if (controller !== running) return;
    if (answer.status === 429 || answer.status === 503) {
      say("The server is busy; trying again.");
      timer = setTimeout(update, 1000 * Number(answer.headers.get("retry-after") ?? 1));
      return;
    }
    if (!answer.ok) {
      say(found.error.message, true);
      return;
    }
    records = found.documents;
    const n = show();
    say(`${n} ${n === 1 ? "span" : "spans"}`);
  } catch (error) {
    if (error.name !== "AbortError") say("The server does not answer.", true);
  }
};

const later = () => {
  clearTimeout(timer);
  timer = setTimeout(update, WAIT);
};

const conll = () => records.flatMap((record) => record.sentences).map((sentence) =>
  sentence.tokens.map((token, i) => `${token}\t${sentence.tags?.[i] ?? "O"}\n`).join("") + "\n").join("");

const copy = async (text, what) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not allowed, or the page came neither from this machine nor over HTTPS
    const area = element("textarea", text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`Copied as ${what}.`);
};

const move = (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const marks = [...result.querySelectorAll("mark")], at = marks.indexOf(document.activeElement);
  if (!step || at < 0) return;
  const next = marks[Math.min(marks.length - 1, Math.max(0, at + step))];
  marks[at].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
  event.preventDefault();
};

const choose = () => {
  const hasText = models.get(model.value).text;
  kind.options[0].disabled = !hasText;
  if (!hasText) kind.value = "tokens";
  if (input.value.trim()) update();
};

const start = async () => {
  try {
    const found = await (await fetch("v1/models")).json();
    models = new Map(found.models.map((one) => [one.name, one]));
    model.replaceChildren(...[...models.keys()].map((name) => new Option(name, name, name === found.default)));
    choose();
  } catch {
    say("The server does not answer.", true);
  }
};

input.addEventListener("input", later);
model.addEventListener("change", choose);
kind.addEventListener("change", update);
result.addEventListener("keydown", move);
byId("form").addEventListener("submit", (event) => event.preventDefault());
byId("copy-json").addEventListener("click", () =>
  copy(records.map((record) => JSON.stringify(record)).join("\n") + "\n", "JSON"));
byId("copy-conll").addEventListener("click", () => copy(conll(), "CoNLL"));
start();
