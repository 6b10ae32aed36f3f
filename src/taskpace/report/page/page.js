"use strict";
// What the page does beyond showing itself. Text of the run goes through textContent alone: none of it is ever markup.

document.documentElement.classList.add("js");

const SVG = "http://www.w3.org/2000/svg";
const ROWS = 100;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function seconds(value) {
  if (value === null) return "–";
  return value >= 100 ? `${value.toFixed(0)} s` : `${Number(value.toPrecision(3))} s`;
}

// -- light and dark -----------------------------------------------------------------------------------------------

const theme = document.getElementById("theme");
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  const chosen = document.documentElement.dataset.theme;
  theme.setAttribute("aria-pressed", String(chosen ? chosen === "dark" : prefersDark.matches));
}

theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = theme.getAttribute("aria-pressed") === "true" ? "light" : "dark";
  showTheme();
});
prefersDark.addEventListener("change", showTheme);
showTheme();

// -- charts: tips, deadlines, pairs -------------------------------------------------------------------------------

const tip = document.getElementById("tip");
for (const picture of document.querySelectorAll(".picture")) {
  picture.addEventListener("pointerover", (event) => {
    const mark = event.target.closest("[aria-label]");
    tip.hidden = mark === null || mark === picture;
    if (!tip.hidden) tip.textContent = mark.getAttribute("aria-label");
  });
  picture.addEventListener("pointermove", (event) => {
    tip.style.left = `${Math.min(event.pageX + 12, scrollX + innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.pageY + 16}px`;
  });
  picture.addEventListener("pointerleave", () => { tip.hidden = true; });
}

for (const section of document.querySelectorAll(".task")) {
  const figure = section.querySelector('[data-chart="solve"]');
  if (figure) followDeadline(figure);
  const pairs = section.querySelector(".pairs select");
  if (pairs) choosePair(section, pairs);
}

// The words come from the figure's own table: one row for each deadline, one column for each system.
function followDeadline(figure) {
  const slider = figure.querySelector(".deadline input");
  const lines = figure.querySelectorAll('[class*="deadlines"] line');
  const systems = [...figure.querySelectorAll("thead th")].slice(1).map((cell) => cell.textContent);
  const rows = [...figure.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
  const show = (place) => {
    const [deadline, ...shares] = rows[place];
    const told = systems.map((system, number) => `${system}: ${shares[number]}`);
    figure.querySelector(".deadline output").textContent = `within ${deadline}: ${told.join("; ")}`;
    slider.setAttribute("aria-valuetext", deadline);
  };
  slider.addEventListener("input", () => {
    lines.forEach((line, number) => { line.setAttribute("opacity", number === Number(slider.value) ? "1" : "0"); });
    show(Number(slider.value));
  });
  show(Number(slider.value));
}

function choosePair(section, select) {
  select.addEventListener("change", () => {
    for (const pair of section.querySelectorAll(".pair")) {
      const chosen = pair.querySelector("figure").id === select.value;
      pair.classList.toggle("chosen", chosen);
      pair.classList.toggle("unchosen", !chosen);
    }
  });
}

// -- every trial --------------------------------------------------------------------------------------------------

async function unpack(script) {
  const packed = Uint8Array.from(atob(script.textContent), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const COLUMNS = [
  ["id", "trial"], ["task", "task"], ["scenario", "scenario"], ["system", "system"], ["outcome", "outcome"],
  ["time", "task time"], ["ttft", "TTFT"], ["committed", "committed"], ["tokens", "tokens"], ["bytes", "bytes"],
  ["answer", "answer read"],
];
const NAMED = new Set(["task", "scenario", "system", "outcome"]);
const TIMES = new Set(["time", "ttft", "committed"]);
const NUMBERS = new Set([...TIMES, "tokens", "bytes"]);

class Trials {
  constructor(section, file, index) {
    this.section = section;
    this.file = file;
    this.index = index;
    this.names = index.names;
    this.columns = index.columns;
    this.total = this.columns.id.length;
    this.found = [...Array(this.total).keys()];
    this.sorted = { column: null, down: false };
    this.first = 0;
    this.blocks = [...section.querySelectorAll('[data-block="texts"]')].map((script) => ({ script, rows: null }));
    this.prompts = null;
    this.query = 0;
    this.form = section.querySelector("form");
    this.body = section.querySelector("tbody");
    this.count = section.querySelector(".count");
    this.prepare();
    this.draw();
  }

  prepare() {
    for (const name of NAMED) {
      const select = this.form.elements[name];
      this.names[name].forEach((word, place) => select.append(element("option", { value: String(place) }, word)));
      select.closest("label").hidden = this.names[name].length < 2;
    }
    this.shown = COLUMNS.filter(([name]) => name !== "scenario" || this.names.scenario.length > 1);
    const head = this.section.querySelector("thead tr");
    for (const [name, title] of this.shown) {
      const button = element("button", { type: "button" }, title);
      button.addEventListener("click", () => this.sort(name));
      head.append(element("th", { scope: "col", "data-column": name, "aria-sort": "none" }, button));
    }
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.later());
    this.form.addEventListener("reset", () => setTimeout(() => this.filter()));
    for (const button of this.section.querySelectorAll(".pager button")) {
      button.addEventListener("click", () => { this.first += ROWS * Number(button.dataset.step); this.draw(); });
    }
  }

  later() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.filter(), 150);
  }

  async filter() {
    const query = ++this.query;
    const given = new FormData(this.form);
    const chosen = [...NAMED].filter((name) => given.get(name)).map((name) => [this.columns[name], Number(given.get(name))]);
    const ranges = [["time", this.columns.time], ["bytes", this.columns.bytes]]
      .map(([name, values]) => [values, given.get(`${name}-from`), given.get(`${name}-to`)])
      .filter(([, from, to]) => from || to);
    const text = given.get("text").trim().toLowerCase();
    const texts = text ? await this.searchable() : null;
    if (query !== this.query) return;  // a newer one is on its way
    this.found = [];
    for (let place = 0; place < this.total; place++) {
      const kept = chosen.every(([values, wanted]) => values[place] === wanted)
        && ranges.every(([values, from, to]) => values[place] !== null && (!from || values[place] >= Number(from)) && (!to || values[place] <= Number(to)))
        && (!text || texts[place].includes(text));
      if (kept) this.found.push(place);
    }
    this.order();
    this.first = 0;
    this.draw();
  }

  async searchable() {
    if (this.texts) return this.texts;
    this.unpacking ??= this.unpackAll();
    return this.unpacking;
  }

  // Only the text that is searched is kept: with everything that a block has, a phone would hold it all twice.
  async unpackAll() {
    const texts = [];
    const prompts = await this.allPrompts();
    for (let block = 0; block < this.blocks.length; block++) {
      // In ten steps: each lays the page out again.
      if (block % Math.ceil(this.blocks.length / 10) === 0) this.count.textContent = `Unpacking all texts: ${Math.round((100 * block) / this.blocks.length)} %`;
      for (const row of this.blocks[block].rows ?? await unpack(this.blocks[block].script)) {
        const place = texts.length;
        const [item, , , detail, failure, turns] = row ?? [null, 1, 1, null, null, []];
        const said = turns.map(([reasoning, before, after]) => `${reasoning}\n${before}${after}`);
        const named = [...NAMED].map((name) => this.cell(name, place));
        texts.push([this.columns.id[place], ...named, this.columns.answer[place] ?? "", ...(item === null ? [] : prompts[item]), ...said, detail ?? "", failure ?? ""].join("\n").toLowerCase());
      }
    }
    this.texts = texts;
    return texts;
  }

  async allPrompts() {
    this.prompts ??= await unpack(this.section.querySelector('[data-block="prompts"]'));
    return this.prompts;
  }

  async block(number) {
    this.blocks[number].rows ??= await unpack(this.blocks[number].script);
    return this.blocks[number].rows;
  }

  sort(column) {
    this.sorted = { column, down: this.sorted.column === column && !this.sorted.down };
    for (const head of this.section.querySelectorAll("th[data-column]")) {
      const own = head.dataset.column === column;
      head.setAttribute("aria-sort", own ? (this.sorted.down ? "descending" : "ascending") : "none");
    }
    this.order();
    this.first = 0;
    this.draw();
  }

  order() {
    const { column, down } = this.sorted;
    const sign = down ? -1 : 1;
    const values = this.columns[column];
    this.found.sort((a, b) => {
      if (!column) return a - b;
      const [one, other] = [values[a], values[b]];
      if (one === other) return a - b;
      if (one === null || other === null) return one === null ? 1 : -1;  // unknown comes last, whichever way
      return sign * (typeof one === "number" ? one - other : one < other ? -1 : 1);
    });
  }

  draw() {
    const places = this.found.slice(this.first, this.first + ROWS);
    this.body.replaceChildren(...places.map((place) => this.row(place)));
    const shown = places.length ? `${(this.first + 1).toLocaleString("en")} to ${(this.first + places.length).toLocaleString("en")} of ` : "";
    const all = this.found.length === this.total ? "" : `, from ${this.total.toLocaleString("en")} in all`;
    this.count.textContent = `Trials ${shown}${this.found.length.toLocaleString("en")}${all}`;
    const [previous, next] = this.section.querySelectorAll(".pager button");
    previous.disabled = this.first === 0;
    next.disabled = this.first + ROWS >= this.found.length;
  }

  row(place) {
    const row = element("tr");
    for (const [name] of this.shown) {
      if (name === "id") {
        const button = element("button", { type: "button", "aria-expanded": "false" }, this.columns.id[place].slice(0, 10));
        button.addEventListener("click", () => this.open(place, row, button));
        row.append(element("th", { scope: "row" }, button));
      } else {
        const kind = NUMBERS.has(name) ? "number" : name === "answer" ? "answer-cell" : "";
        row.append(element("td", kind ? { class: kind } : {}, this.cell(name, place)));
      }
    }
    return row;
  }

  cell(name, place) {
    const value = this.columns[name][place];
    if (NAMED.has(name)) return this.names[name][value];
    if (TIMES.has(name)) return seconds(value);
    return value === null ? "–" : String(value);
  }

  async open(place, row, button) {
    if (button.getAttribute("aria-expanded") === "true") {
      button.setAttribute("aria-expanded", "false");
      row.nextElementSibling.remove();
      return;
    }
    button.setAttribute("aria-expanded", "true");
    const [prompts, rows] = [await this.allPrompts(), await this.block(Math.floor(place / this.index.block))];
    if (button.getAttribute("aria-expanded") !== "true") return;
    const view = this.trial(place, prompts, rows[place % this.index.block]);
    row.after(element("tr", { class: "opened" }, element("td", { colspan: String(this.shown.length) }, view)));
  }

  // A row that is null: its texts are not in this file.
  trial(place, prompts, row) {
    const [item, repeat, attempt, detail, failure, turns] = row ?? [null, 1, 1, null, null, []];
    const view = element("div", { class: "trial" });
    const facts = [`${this.cell("system", place)} · ${this.cell("task", place)} · ${this.cell("scenario", place)}`, `outcome ${this.cell("outcome", place)}`];
    if (repeat > 1) facts.push(`repeat ${repeat}`);
    if (attempt > 1) facts.push(`attempt ${attempt}; the earlier ones: taskpace show`);
    if (detail) facts.push(detail);
    view.append(element("p", {}, facts.join(" · ")));
    if (item === null) view.append(element("p", {}, "The texts of this item are not in this file."));
    else prompts[item].forEach((prompt, number) => {
      view.append(element("h4", {}, "Prompt"), element("pre", { tabindex: "0" }, prompt));
      if (turns[number]) view.append(...this.turn(turns[number]));
    });
    if (failure) view.append(element("h4", {}, "Failure"), element("pre", { tabindex: "0" }, failure));
    view.append(element("p", {}, "Whole and exact: ", element("code", {}, `taskpace show ${this.file} ${this.columns.id[place]}`)));
    return view;
  }

  turn([reasoning, before, after, committed, first, end, arrived]) {
    const parts = [];
    if (reasoning) parts.push(element("h4", {}, "Reasoning"), element("pre", { tabindex: "0" }, reasoning));
    const answer = element("pre", { tabindex: "0" }, before);
    if (committed && after) answer.append(element("span", { class: "committed", title: "the answer is committed here" }, "┃"), element("span", { class: "after" }, after));
    parts.push(element("h4", {}, committed && after ? "Answer; what comes after ┃ came once it was committed" : "Answer"), answer);
    if (end === null) return parts;
    parts.push(element("h4", {}, `Timeline: first token ${seconds(first)}, last byte ${seconds(end)}`), timeline(arrived, first, end));
    return parts;
  }
}

function timeline(arrived, first, end) {
  const [width, height] = [arrived.length * 10, 56];
  const most = Math.max(1, ...arrived);
  const picture = document.createElementNS(SVG, "svg");
  const about = `Bytes that arrived in ${arrived.length} equal parts of ${seconds(end)}; first token ${seconds(first)}`;
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${width} ${height + 16}`, class: "timeline", role: "img", "aria-label": about })) picture.setAttribute(key, value);
  const draw = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
    if (text) made.textContent = text;
    picture.append(made);
  };
  arrived.forEach((bytes, place) => {
    const size = bytes ? Math.max(3, (bytes / most) * height) : 0;
    draw("rect", { x: place * 10 + 1, y: height - size, width: 8, height: size, fill: "var(--series-0)" });
  });
  draw("line", { x1: 0, x2: width, y1: height, y2: height, stroke: "var(--muted)" });
  draw("text", { x: 0, y: height + 13, "font-size": 12, fill: "var(--muted)" }, "0 s");
  draw("text", { x: width, y: height + 13, "font-size": 12, fill: "var(--muted)", "text-anchor": "end" }, seconds(end));
  return picture;
}

async function start(run) {
  const section = run.querySelector(".trials");
  const index = section.querySelector('[data-block="index"]');
  if (!index) return;
  try {
    section.trials = new Trials(section, run.dataset.file, await unpack(index));
  } catch (problem) {
    section.querySelector("form").hidden = true;
    section.querySelector(".count").textContent = `The table cannot be shown here (${problem}); taskpace show ${run.dataset.file} has it`;
  }
}

// The answer first: trials are unpacked once the page has been drawn.
requestAnimationFrame(() => setTimeout(() => document.querySelectorAll(".run").forEach(start)));
