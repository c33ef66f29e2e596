// The table of all cells, a hundred at a time: a suite may have tens of thousands.

const AT_ONCE = 100;
const HEADS = ["model", "dataset", "threat", "attack", "ε", "metric", data.scale.name, "95%", "n", "seed", "status", "flags", "cell"];
let limit = AT_ONCE;

let turn = 0; // of reading cells: a later turn ends those before

const passing = (cells) =>
  cells.filter(([model, dataset, threat]) =>
    passesFilters(model, threat) && (!selected.dataset || data.datasets[dataset] === selected.dataset));
// in the order in which `PageCells.add` of bench/report/export/page_parts.py writes the values
const cellLine = ([model, dataset, threat, attack, eps, metric, rate, n, seed, status, flags, id]) =>
  html("tr", {},
    html("th", { scope: "row", class: "text" }, name(data.models[model])),
    html("td", { class: "text" }, name(data.datasets[dataset])),
    html("td", { class: "text" }, threat < 0 ? "" : badge(threat)),
    [attack, eps, metric].map((text) => html("td", { class: "text" }, text)),
    html("td", {}, formatted(rate?.[0])),
    html("td", {}, rate ? `${formatted(rate[1])} to ${formatted(rate[2])}` : ""),
    html("td", {}, String(n)),
    html("td", {}, seed === null ? "" : String(seed)),
    html("td", { class: "text" }, status),
    html("td", { class: "text" }, flags.split(" ").filter(Boolean).map((flag) => [flagOf(flag), " "])),
    html("td", { class: "text" }, html("code", {}, data.images.includes(id) ? link([id, `images/${id}.html`]) : id)));
const showCells = (shown, hasMore, told) => {
  find("#cells .scroll").replaceChildren(html("table", {},
    html("thead", {}, html("tr", {}, HEADS.map((head, place) =>
      html("th", { scope: "col", class: [6, 7, 8, 9].includes(place) ? null : "text" }, head)))),
    html("tbody", {}, shown.slice(0, limit).map(cellLine))));
  find("#cells output").textContent = told(Math.min(limit, shown.length));
  find("#further").hidden = !hasMore && shown.length <= limit;
};
// Reads the cells of one model after another until there are as many lines as asked.
const readCells = async () => {
  const mine = (turn += 1);
  const models = data.parts.cells.filter((model) => passesFilters(model, -1));
  const [shown, faults] = [[], []];
  let [read, tried] = [0, 0];
  const readOf = () => `${read} of ${models.length} models read`;
  for (const model of models) {
    if (shown.length >= limit) break;
    tried += 1;
    find("#cells output").textContent = `Loading: ${readOf()}`;
    try {
      for (const cell of passing(await load(`cells-${model}`))) shown.push(cell);
      read += 1;
    } catch ({ message }) {
      faults.push(message);
    }
    if (mine !== turn) return;
  }
  showCells(shown, tried < models.length, (count) =>
    (read < models.length ? [`${count} shown`, readOf(), ...faults].join("; ") : `${count} of ${shown.length}`));
};
const showAll = (shown) => showCells(shown, false, (count) => `${count} of ${shown.length}`);
const drawCells = () => {
  if (!find("#cells").open) return;
  if (data.parts) readCells();
  else showAll(passing(data.cells));
};
find("#cells").addEventListener("toggle", drawCells);
find("#further").addEventListener("click", () => { limit += AT_ONCE; drawCells(); });
