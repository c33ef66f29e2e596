// The table of all cells, a hundred at a time: a suite may have tens of thousands.

const AT_ONCE = 100;
const HEADS = ["model", "dataset", "threat", "attack", "ε", "metric", data.scale.name, "95%", "n", "seed", "status", "flags", "cell"];
let limit = AT_ONCE;

const cellsShown = () =>
  data.cells.filter(([model, dataset, threat]) =>
    passesFilters(model, threat) && (!selected.dataset || data.datasets[dataset] === selected.dataset));
// in the order in which bench/report/export/html_page.py writes the values
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
const drawCells = () => {
  if (!find("#cells").open) return;
  const shown = cellsShown();
  find("#cells .scroll").replaceChildren(html("table", {},
    html("thead", {}, html("tr", {}, HEADS.map((head, place) =>
      html("th", { scope: "col", class: [6, 7, 8, 9].includes(place) ? null : "text" }, head)))),
    html("tbody", {}, shown.slice(0, limit).map(cellLine))));
  find("#cells output").textContent = `${Math.min(limit, shown.length)} of ${shown.length}`;
  find("#further").hidden = shown.length <= limit;
};
find("#cells").addEventListener("toggle", drawCells);
find("#further").addEventListener("click", () => { limit += AT_ONCE; drawCells(); });
