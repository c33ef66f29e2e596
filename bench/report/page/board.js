// The leaderboard shows the numbers of the selected dataset and sorts rows within each threat.

const bodies = all("#board tbody");
const lines = all("#board .row").map((line, place) => ({ line, place, ...data.rows[place] }));
let order = { by: "rank", descending: false };

const sortKey = ({ place, model }) => {
  const row = numbers(place);
  if (order.by === "model") return data.models[model].toLowerCase();
  if (order.by === "flags") return row.flags.join(" ");
  if (order.by === "rank" || order.by === "n") return row[order.by];
  return row.rates[order.by]?.[0] ?? null;
};
const compare = (first, second) => {
  const [a, b] = [sortKey(first), sortKey(second)];
  if (a === null || b === null) return (a === null) - (b === null); // missing values come last
  const way = order.descending ? -1 : 1;
  const worst = ({ place }) => numbers(place).rates[WORST]?.[0] ?? -1;
  const within = order.by === "rank" ? way * (worst(second) - worst(first)) : 0; // of one rank
  return way * (typeof a === "string" ? a.localeCompare(b) : a - b) || within || first.place - second.place;
};
const spreadOf = (value) =>
  html("small", { class: "spread" }, html("span", { class: "unseen" }, " between seeds "), `↕ ${formatted(value)}`);
const fill = ({ line, place }) => {
  const row = numbers(place);
  find(".rank", line).textContent = row.rank ?? "–";
  find(".n", line).textContent = row.n;
  find(".flags", line).replaceChildren(...row.flags.flatMap((flag) => [html("span", { class: "flag" }, flag), " "]));
  for (const cell of all("[data-rate]", line)) {
    const rate = row.rates[cell.dataset.rate];
    const spread = row.spreads[cell.dataset.rate];
    cell.replaceChildren(formatted(rate?.[0]), ...(spread === null ? [] : [spreadOf(spread)]));
    cell.title = rate ? `95%: ${formatted(rate[1])} to ${formatted(rate[2])}` : "";
  }
};
const embolden = (members) => {
  columns.forEach((_, column) => {
    const cells = members.map(({ line }) => find(`[data-rate="${column}"]`, line));
    const best = Math.max(...cells.map((cell) => parseFloat(cell.textContent) || 0));
    for (const cell of cells) cell.classList.toggle("best", members.length > 1 && parseFloat(cell.textContent) === best);
  });
};
const drawBoard = () => {
  find("#over").textContent = selected.dataset ? `on ${selected.dataset}` : "mean over the datasets";
  lines.forEach(fill);
  bodies.forEach((body, threat) => {
    const members = lines.filter((line) => line.threat === threat).sort(compare);
    embolden(members);
    body.append(...members.map(({ line }) => line));
    for (const { line, model } of members) line.hidden = !passesFilters(model, threat);
    body.hidden = members.every(({ line }) => line.hidden);
  });
  const shown = lines.filter(({ line }) => !line.hidden).length;
  find("#shown").textContent = `${shown} of ${lines.length} rows`;
  find("#none").hidden = shown > 0;
  for (const head of all("#board [data-sort]")) {
    if (head.dataset.sort === order.by) head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
};
const sortBy = (by, label) => {
  const rises = ["rank", "model", "flags"].includes(by);
  order = { by, descending: order.by === by ? !order.descending : !rises };
  drawBoard();
  announce(`sorted by ${label}, ${order.descending ? "descending" : "ascending"}`);
};
for (const head of all("#board [data-sort]")) {
  const button = find("button", head);
  button.addEventListener("click", () =>
    sortBy(head.dataset.sort, button.getAttribute("aria-label") ?? button.textContent));
}
