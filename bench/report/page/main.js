// Connects the filters, and draws the page for the first time.

const hasFigures = find("#tradeoff") !== null;
const figuresOfDataset = hasFigures ? [find("#tradeoff .panels"), find("#curves .panels")] : [];
const drawNumbers = () => {
  drawBoard();
  if (!hasFigures) return;
  drawTradeoffs();
  drawAllCurves();
};
const hideNumbers = (areHidden) => {
  for (const each of [find("#board"), ...figuresOfDataset]) each.classList.toggle("waiting", areHidden);
};
// Says why there are no numbers on the selected dataset, wherever they would stand.
const showFault = (text) => {
  for (const each of [...bodies, find("#board-rest")]) each.hidden = true;
  find("#shown").textContent = "";
  find("#over").textContent = `on ${selected.dataset}`;
  find("#none").textContent = text;
  find("#none").hidden = false;
  for (const panels of figuresOfDataset) panels.replaceChildren(html("p", { class: "note" }, text));
};
const loadNumbers = (dataset) => {
  const ifStillSelected = (show) => (result) => {
    if (dataset !== selected.dataset) return;
    hideNumbers(false);
    show(result);
  };
  find("#over").textContent = `loading the numbers on ${dataset} …`;
  loadBoard(dataset).then(ifStillSelected(drawNumbers), ifStillSelected(({ message }) => showFault(message)));
};
const draw = () => {
  limit = AT_ONCE;
  lineLimit = data.lines_at_once;
  drawCells();
  if (hasFigures) drawHeat();
  hideNumbers(!hasNumbers());
  if (hasNumbers()) drawNumbers();
  else loadNumbers(selected.dataset);
};
find("#filters").addEventListener("submit", (event) => event.preventDefault());
find("#filters").addEventListener("input", () => {
  selected.threat = find("[name=threat]:checked").value;
  selected.dataset = find("#dataset").value;
  selected.model = find("#model").value.trim().toLowerCase();
  draw();
});
for (const [select, redraw] of [["#robust", () => drawTradeoffs()], ["#attack", () => drawAllCurves()], ["#heated", () => drawHeat()]]) {
  find(select)?.addEventListener("input", redraw);
}

draw();
