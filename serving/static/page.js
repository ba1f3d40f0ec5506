// The page at `/`: asks the endpoint's own API. Every text from data goes through textContent, never through markup.
"use strict";

const SHOWN = 8; // contributions by themselves; the others are added up
const at = (id) => document.getElementById(id);
let token = ""; // in memory alone: reloading the page forgets it
let model = null; // what `model` says
let current = null; // the prediction of the customer who was looked up, without any change

const number = (value, digits) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const percent = (share) => `${number(100 * share, 1)}%`;
const times = (logOdds) => `×${number(Math.exp(logOdds), 2)}`;
const amount = (money) =>
  money === null
    ? "not known"
    : `${number(money, Math.abs(money) < 100 && !Number.isInteger(money) ? 2 : 0)} ${model.currency}`;
const written = (value) => {
  if (typeof value !== "number") return value ?? "not known";
  const digits = value && Math.abs(value) < 0.01 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 };
  return value.toLocaleString("en", digits);
};
const probability = (logOdds) => 1 / (1 + Math.exp(-logOdds));

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function made(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

async function ask(path, body) {
  const headers = { ...(token && { Authorization: `Bearer ${token}` }), ...(body && { "Content-Type": "application/json" }) };
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Refused(0, "The endpoint does not answer. Is it still running?");
  }
  const said = await answer.json().catch(() => ({ message: `The endpoint answered ${answer.status} without words.` }));
  if (answer.ok) return said;
  const id = answer.headers.get("X-Request-Id");
  throw new Refused(answer.status, answer.status >= 500 && id ? `${said.message} (request ${id})` : said.message);
}

async function score(row, whatIf = false) {
  const params = { contributions: true, what_if: whatIf };
  const said = await ask("invocations", { dataframe_records: [row], params });
  const [prediction] = said.predictions;
  return { ...prediction, version: prediction.model_version ?? said.model.version };
}

// Runs what a form asks for, once at a time; a refusal is shown in words.
function onSubmit(form, act) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy === "true") return;
    form.ariaBusy = "true"; // a button that is disabled would lose the focus
    tell("problem", "");
    try {
      await act();
    } catch (error) {
      fail(error);
    } finally {
      form.ariaBusy = "false";
    }
  });
}

function fail(error) {
  tell("problem", error instanceof Refused ? error.message : `This page failed (${error}): reload it.`);
  if (error.status === 401) {
    at("token-form").hidden = false;
    at("token").focus();
  }
}

function tell(id, text) {
  at(id).textContent = text;
  if (id !== "announcement") at(id).hidden = !text;
}

async function start() {
  model = await ask("model");
  const versions = await ask("version");
  const facts = { "model version": versions.model_version, "churn within": `${model.window_days} days`, program: versions.program };
  at("facts").replaceChildren(
    ...Object.entries(facts).map(([name, value]) =>
      made("div", {}, made("dt", { textContent: name }), made("dd", { textContent: value })),
    ),
  );
  at("key").textContent = model.key;
  at("token-form").hidden = true;
  at("look-up").hidden = false;
  at("customer").focus();
}

async function lookUp() {
  const customer = at("customer").value.trim();
  at("result").hidden = at("what-if").hidden = at("compared").hidden = true;
  const found = await score({ [model.key]: customer });
  if (found.status === "unknown") {
    tell("announcement", "");
    throw new Refused(200, `Customer ${customer} is not online: the key is another one, the customer has left, or the newest features are not published yet.`);
  }
  current = found;
  at("result-title").textContent = `Customer ${found.customer}`;
  tell("scored", `Scored by version ${found.version}, on features that were true at ${moment(found.features_at)}.`);
  tell("stale", found.status === "stale" ? "These features are old: newer ones are not online, or the customer has left." : "");
  at("cards").replaceChildren(...cards(found));
  at("waterfall").replaceChildren(...waterfall(found));
  fillIn();
  at("result").hidden = at("what-if").hidden = false;
  tell("announcement", `Customer ${found.customer}: ${percent(found.probability)} churn, ${decision(found)}.`);
}

const moment = (text) => `${text.slice(0, 16).replace("T", " ")} UTC`;
const decision = (said) => (said.decision === "treat" ? "treat" : "leave alone");
const pays = (said) =>
  said.threshold === null || said.threshold >= 1 ? "an offer never pays" : `an offer pays above ${percent(said.threshold)}`;

function cards(said) {
  const shown = [
    [`churn within ${model.window_days} days`, percent(said.probability), `the model starts from ${percent(probability(said.base))}`],
    ["decision", decision(said), pays(said)],
    ["expected value of an offer", amount(said.expected_value), "what it earns, on average, after its costs"],
    ["customer value", amount(said.customer_value), "what keeping the customer is worth"],
  ];
  return shown.map(([label, value, note]) =>
    made(
      "div",
      { className: "card" },
      made("div", { className: "label", textContent: label }),
      made("div", { className: "value", textContent: value }),
      made("div", { className: "note", textContent: note }),
    ),
  );
}

function waterfall(said) {
  const words = new Map([...model.inputs, ...model.features].map((column) => [column.name, column.description]));
  const parts = [...said.contributions].sort((one, other) => Math.abs(other.added) - Math.abs(one.added));
  const steps = parts
    .slice(0, SHOWN)
    .map((part) => [`${words.get(part.name) ?? part.name}: ${written(part.value)}`, part.added]);
  const others = parts.slice(SHOWN);
  if (others.length) steps.push([`all others (${others.length})`, others.reduce((sum, part) => sum + part.added, 0)]);
  const ends = [said.base];
  for (const [, added] of steps) ends.push(ends.at(-1) + added);
  const low = Math.min(...ends), width = Math.max(...ends) - low || 1;
  const share = (value) => `${(100 * (value - low)) / width}%`;
  const bar = (from, to, kind) => {
    const span = made("span", { className: kind });
    span.style.left = share(Math.min(from, to));
    span.style.width = `calc(${share(Math.max(from, to))} - ${span.style.left})`;
    if (from === to) span.style.transform = "translateX(-50%)";
    const track = made("div", { className: "track", ariaHidden: "true" }, span);
    track.style.setProperty("--start", share(said.base));
    return track;
  };
  const row = (text, value, drawn, kind = "") =>
    made(
      "tr",
      { className: kind },
      made("th", { scope: "row", textContent: text }),
      made("td", { className: "number", textContent: value }),
      made("td", {}, drawn),
    );
  return [
    row("where the model starts", percent(probability(said.base)), bar(said.base, said.base, "point"), "total"),
    ...steps.map(([text, added], place) =>
      row(text, times(added), bar(ends[place], ends[place + 1], Math.abs(added) < 0.005 ? "point" : added > 0 ? "raises" : "lowers")),
    ),
    row("this customer", percent(said.probability), bar(ends.at(-1), ends.at(-1), "point"), "total"),
  ];
}

function fillIn() {
  const values = new Map(current.contributions.map((part) => [part.name, part.value]));
  for (const [id, chosen] of [["actionable", true], ["fixed", false]]) {
    const columns = model.inputs.filter((column) => column.actionable === chosen);
    at(id).replaceChildren(...columns.map((column) => field(column, values.get(column.name) ?? null)));
  }
  at("actionable").closest("fieldset").hidden = !at("actionable").children.length;
  at("others").open = !at("actionable").children.length;
  at("others").hidden = !at("fixed").children.length;
}

function field(column, value) {
  const id = `input-${column.name}`, text = value === null ? "" : String(value);
  let control;
  if (column.type === "categorical") {
    const values = text && !column.values.includes(text) ? [...column.values, text] : column.values;
    const options = values.map((name) => made("option", { value: name, textContent: name, defaultSelected: name === text }));
    if (column.nullable || !text) options.unshift(made("option", { value: "", textContent: "not known", defaultSelected: !text }));
    control = made("select", { id }, ...options);
  } else {
    control = made("input", { id, type: "number", step: column.type === "integer" ? "1" : "any", defaultValue: text });
    if (text && column.type === "integer" && !Number.isInteger(value)) control.step = "any";
    // A value beyond the contract's limits can be kept, or changed to one within.
    if (column.min !== null && !(value < column.min)) control.min = column.min;
    if (column.max !== null && !(value > column.max)) control.max = column.max;
    if (column.nullable || !text) control.placeholder = "not known";
    else control.required = true;
  }
  control.name = column.name;
  const whole = made("div", { className: "field" }, made("label", { htmlFor: id, textContent: column.description }), control);
  control.addEventListener("input", () => whole.classList.toggle("changed", control.value !== text));
  return whole;
}

function changes() {
  const values = new Map(current.contributions.map((part) => [part.name, part.value]));
  return model.inputs.flatMap((column) => {
    const before = values.get(column.name) ?? null, typed = at(`input-${column.name}`).value;
    const after = typed === "" ? null : column.type === "categorical" ? typed : Number(typed);
    return after === before ? [] : [{ column, before, after }];
  });
}

async function scoreChanged() {
  const changed = changes();
  if (!changed.length) throw new Refused(200, "Change a value first.");
  const row = { [model.key]: current.customer, ...Object.fromEntries(changed.map(({ column, after }) => [column.name, after])) };
  const said = await score(row, true);
  if (said.version !== current.version)
    throw new Refused(200, `Version ${said.version} answers now: look the customer up again.`);
  const rows = [
    ["churn probability", percent(current.probability), percent(said.probability)],
    ["decision", decision(current), decision(said)],
    ["expected value of an offer", amount(current.expected_value), amount(said.expected_value)],
    ["customer value", amount(current.customer_value), amount(said.customer_value)],
    ...changed.map(({ column, before, after }) => [column.description, written(before), written(after)]),
  ];
  at("compared-caption").textContent = `Customer ${current.customer} now, and with these values`;
  at("comparison").replaceChildren(
    ...rows.map(([what, ...cells]) => {
      const tds = cells.map((text, place) => {
        const td = made("td", {}, made("span", { textContent: text }));
        td.dataset.label = ["now", "with these values"][place];
        return td;
      });
      return made("tr", {}, made("th", { scope: "row", textContent: what }), ...tds);
    }),
  );
  at("compared").hidden = false;
  tell("announcement", `With these values: ${percent(said.probability)} churn, ${decision(said)}. This is no causal effect.`);
  at("compared").scrollIntoView({ block: "nearest" });
}

onSubmit(at("token-form"), async () => {
  token = at("token").value.trim();
  if (!/^[!-~]+$/.test(token)) throw new Refused(401, "A token has letters, digits, - and _ alone: copy it once more.");
  await start();
  at("token").value = "";
});
onSubmit(at("look-up"), lookUp);
onSubmit(at("changes"), scoreChanged);
at("changes").addEventListener("invalid", () => (at("others").open = true), true); // so that it can be seen
at("changes").addEventListener("reset", () => {
  at("compared").hidden = true;
  for (const node of document.querySelectorAll(".changed")) node.classList.remove("changed");
});
start().catch((error) => {
  fail(error);
  if (error.status === 401) tell("problem", ""); // nobody has given a token yet
});
