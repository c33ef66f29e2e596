// Every number, a hundred at a time: a suite may have tens of thousands.

const AT_ONCE = 100;
const HEADS = ["model", "dataset", "threat", "attack", "ε", "metric", data.scale.name, "95%", "n", "seed", "status", "flags", "cell"];
let most = AT_ONCE;

const cellsShown = () =>
  data.cells.filter(([model, dataset, threat]) =>
    lets(model, threat) && (!chosen.dataset || data.datasets[dataset] === chosen.dataset));
// in the order in which bench/export/page.py writes them
const cellLine = ([model, dataset, threat, attack, eps, metric, rate, n, seed, status, flags, id]) =>
  html("tr", {},
    html("th", { scope: "row", class: "text" }, name(data.models[model])),
    html("td", { class: "text" }, name(data.datasets[dataset])),
    html("td", { class: "text" }, threat < 0 ? "" : badge(threat)),
    [attack, eps, metric].map((text) => html("td", { class: "text" }, text)),
    html("td", {}, written(rate?.[0])),
    html("td", {}, rate ? `${written(rate[1])} to ${written(rate[2])}` : ""),
    html("td", {}, String(n)),
    html("td", {}, seed === null ? "" : String(seed)),
    [status, flags].map((text) => html("td", { class: "text" }, text)),
    html("td", { class: "text" }, html("code", {}, id)));
const drawCells = () => {
  if (!find("#cells").open) return;
  const shown = cellsShown();
  find("#cells .scroll").replaceChildren(html("table", {},
    html("thead", {}, html("tr", {}, HEADS.map((head, place) =>
      html("th", { scope: "col", class: [6, 7, 8, 9].includes(place) ? null : "text" }, head)))),
    html("tbody", {}, shown.slice(0, most).map(cellLine))));
  find("#cells output").textContent = `${Math.min(most, shown.length)} of ${shown.length}`;
  find("#further").hidden = shown.length <= most;
};
find("#cells").addEventListener("toggle", drawCells);
find("#further").addEventListener("click", () => { most += AT_ONCE; drawCells(); });
