// Connects the filters, and draws the page for the first time.

const hasFigures = find("#tradeoff") !== null;
const draw = () => {
  limit = AT_ONCE;
  lineLimit = data.lines_at_once;
  drawBoard();
  drawCells();
  if (!hasFigures) return;
  drawTradeoffs();
  drawAllCurves();
  drawHeat();
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
