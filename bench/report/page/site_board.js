// One table of numbers: groups of rows, columns that sort within each group.

const LINES_AT_ONCE = 200;
const limits = new Map(); // of rows, by table
const rateCell = (rate, scale, best) => {
  const text = decimal(rate?.[0], scale);
  const bounded = Boolean(rate) && rate[1] !== null && state("intervals") !== "off";
  return html("td", { class: rate && text === best ? "best" : null }, text,
    bounded && html("small", { class: "interval" }, html("span", { class: "unseen" }, " 95%: "),
      `${decimal(rate[1], scale)}–${decimal(rate[2], scale)}`));
};
const threatBadge = (threat) => {
  const { name: text, kind } = data.threats[threat];
  return html("span", { class: `badge ${kind}` }, name(text));
};
const link = ([text, file]) => html("a", { href: file }, name(text));
const nameCell = (content, flags = []) => html("th", { scope: "row", class: "name" }, html("span", { class: "of" }, content),
  html("span", { class: "flags" }, flags.map((flag) => [flagOf(flag), " "])));

// Rows with a missing value come last; equal rows keep the order of the leaderboard.
const sorted = (rows, heads) => {
  const by = state("sort").replace(/^-/, "");
  const head = heads.find(({ key, value }) => key === by && value);
  if (!head) return rows;
  const way = state("sort").startsWith("-") ? -1 : 1;
  return [...rows].sort((first, second) => {
    const [a, b] = [first, second].map((row) => head.value(row) ?? null);
    if (a === null || b === null) return (a === null) - (b === null);
    return way * (typeof a === "string" ? a.localeCompare(b) : a - b);
  });
};
const sortBy = ({ key, rises }) => {
  const first = rises ? key : `-${key}`;
  const turned = rises ? `-${key}` : key;
  form.elements.sort.value = state("sort") === first ? turned : first;
  writeAddress();
  draw();
  find(`#tables [data-sort="${CSS.escape(key)}"] button`)?.focus();
  announce(`sorted by ${key}, ${state("sort").startsWith("-") ? "descending" : "ascending"}`);
};
const ariaSort = (key) =>
  ({ [key]: "ascending", [`-${key}`]: "descending" })[state("sort")] ?? null;

// A head has a key, a title and a class; a value to sort by; and a cell of a row and its group.
const board = (id, label, heads, groups) => {
  const limit = limits.get(id) ?? LINES_AT_ONCE;
  const total = groups.reduce((sum, { rows }) => sum + rows.length, 0);
  let left = limit;
  const bodies = groups.map((group) => {
    const shown = sorted(group.rows, heads).slice(0, left);
    left -= shown.length;
    return html("tbody", { hidden: !shown.length },
      html("tr", { class: "threat" }, html("th", { colspan: heads.length, scope: "rowgroup" }, html("span", {}, group.title))),
      shown.map((row) => html("tr", { class: "row" }, heads.map(({ cell }) => cell(row, group)))));
  });
  return [
    html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
      html("table", {},
        html("thead", {}, html("tr", { class: "heads" }, heads.map((head) =>
          html("th", { scope: "col", class: head.class, "data-sort": head.key, "aria-sort": ariaSort(head.key) },
            html("button", { type: "button", onclick: () => sortBy(head), title: head.about }, head.title))))),
        bodies)),
    total > limit && html("p", {},
      html("button", { type: "button", class: "quiet", onclick: () => { limits.set(id, limit + LINES_AT_ONCE); draw(); } }, "Show more rows"),
      html("output", { class: "note" }, ` ${limit} of ${total}`)),
  ];
};
const about = (place) => [data.places[place].task, data.places[place].protocol === "not stated" ? "protocol not stated"
  : data.places[place].protocol].filter(Boolean).join("; ");
const suiteSection = (place, content) => html("section", { "data-suite": data.places[place].name },
  html("h2", {}, name(data.places[place].name)),
  html("p", { class: "protocol" }, about(place)), content);
// What is drawn after each change of the filters.
const showTables = (sections, shown, flags) => {
  find("#tables").replaceChildren(...sections);
  find("#none").hidden = sections.length > 0;
  find("#shown").textContent = shown;
  const explained = [...new Set(flags)].filter(meaning);
  find("#flags").hidden = !explained.length;
  find("#flags dl").replaceChildren(...explained.flatMap((flag) =>
    [html("dt", {}, html("span", { class: "flag" }, flag)), html("dd", {}, meaning(flag))]));
};
const startPage = () => {
  readAddress();
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { limits.clear(); writeAddress(); draw(); });
  draw();
};
