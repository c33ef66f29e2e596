// The leaderboard shows the numbers of the selected dataset and sorts rows within each threat. It
// draws the first rows only: a suite may have thousands. A drawn line can show any row.

const bodies = all("#board tbody");
const pattern = find("#board .row");
const lines = data.rows.map((row, place) => ({ place, ...row }));
const drawn = new WeakMap(); // which row a line shows
let lineLimit = data.lines_at_once;
const hiddenColumns = new Set(); // indices of columns that the reader has hidden, as texts
let order = { by: "rank", descending: false };

const sortKey = ({ place, model }) => {
  const row = numbers(place);
  if (order.by === "model") return data.models[model].toLowerCase();
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
const fill = (line, member, best) => {
  drawn.set(line, member);
  const row = numbers(member.place);
  const { name: under, kind } = data.threats[member.threat];
  find(".of", line).textContent = data.models[member.model];
  find(".name .badge", line).replaceWith(badge(member.threat));
  find(".more", line).setAttribute("aria-label", `Protocol of ${data.models[member.model]}, ${under}`);
  find(".rank", line).textContent = row.rank ?? "–";
  find(".n", line).textContent = row.n;
  find(".flags", line).replaceChildren(...row.flags.flatMap((flag) => [flagOf(flag), " "]));
  const worst = row.rates[WORST];
  find(".interval", line).textContent = worst ? `${formatted(worst[1])} to ${formatted(worst[2])}` : "";
  for (const cell of all("[data-rate]", line)) {
    const rate = row.rates[cell.dataset.rate];
    const spread = row.spreads?.[cell.dataset.rate] ?? null;
    cell.replaceChildren(formatted(rate?.[0]), ...(spread === null ? [] : [spreadOf(spread)]));
    cell.title = rate ? `95%: ${formatted(rate[1])} to ${formatted(rate[2])}` : "";
    cell.hidden = hiddenColumns.has(cell.dataset.rate);
    cell.classList.toggle("best", rate !== null && formatted(rate[0]) === best[cell.dataset.rate]);
  }
};
// The best number of each column as printed, so that numbers printed alike are bold; none of a single row.
const bestOf = (members) => columns.map((_, column) => {
  const values = members.map(({ place }) => numbers(place).rates[column]?.[0] ?? 0);
  return members.length > 1 ? formatted(Math.max(...values)) : null;
});
// Gives a body as many lines as it shows.
const linesOf = (body, count) => {
  const found = all(".row", body);
  for (const line of found.splice(count)) line.remove();
  while (found.length < count) found.push(body.appendChild(pattern.cloneNode(true)));
  return found;
};
const drawBoard = () => {
  if (!hasNumbers()) return;
  find("#over").textContent = selected.dataset ? `on ${selected.dataset}` : "mean over the datasets";
  let [shown, left] = [0, lineLimit];
  bodies.forEach((body, threat) => {
    const members = lines.filter((line) => line.threat === threat);
    const passing = members.filter(({ model }) => passesFilters(model, threat)).sort(compare);
    const visible = passing.slice(0, left);
    const best = bestOf(members);
    linesOf(body, visible.length).forEach((line, place) => fill(line, visible[place], best));
    body.hidden = !visible.length;
    shown += passing.length;
    left -= visible.length;
  });
  find("#shown").textContent = `${shown} of ${lines.length} rows`;
  find("#none").textContent = "No model matches the filter.";
  find("#none").hidden = shown > 0;
  find("#board-rest").hidden = shown <= lineLimit;
  find("#board-rest output").textContent = `${lineLimit} of ${shown}`;
  for (const span of all("#board [data-span]")) {
    const left = span.dataset.span.split(" ").filter((column) => !hiddenColumns.has(column));
    span.hidden = !left.length;
    span.colSpan = Math.max(1, left.length);
  }
  for (const head of all("#board [data-sort]")) {
    head.hidden = hiddenColumns.has(head.dataset.sort);
    if (head.dataset.sort === order.by) head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
};
const sortBy = (by, label) => {
  const rises = ["rank", "model"].includes(by);
  order = { by, descending: order.by === by ? !order.descending : !rises };
  drawBoard();
  announce(`sorted by ${label}, ${order.descending ? "descending" : "ascending"}`);
};
for (const head of all("#board [data-sort]")) {
  const button = find("button", head);
  button.addEventListener("click", () =>
    sortBy(head.dataset.sort, button.getAttribute("aria-label") ?? button.textContent));
}
find("#board-rest button").addEventListener("click", () => { lineLimit += data.lines_at_once; drawBoard(); });
const hideColumn = (box) => {
  if (box.checked) hiddenColumns.delete(box.value);
  else hiddenColumns.add(box.value);
};
for (const box of all("#columns [value]")) {
  box.addEventListener("change", () => { hideColumn(box); drawBoard(); });
}
for (const [button, shown] of [["#all-columns", true], ["#no-columns", false]]) {
  find(button)?.addEventListener("click", () => {
    for (const box of all("#columns [value]")) {
      box.checked = shown;
      hideColumn(box);
    }
    drawBoard();
  });
}
