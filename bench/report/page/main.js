// The filters, and the first drawing.

const hasFigures = find("#tradeoff") !== null;
const draw = () => {
  most = AT_ONCE;
  drawBoard();
  drawCells();
  if (!hasFigures) return;
  drawTradeoffs();
  drawAllCurves();
  drawHeat();
};
find("#filters").addEventListener("submit", (event) => event.preventDefault());
find("#filters").addEventListener("input", () => {
  chosen.threat = find("[name=threat]:checked").value;
  chosen.dataset = find("#dataset").value;
  chosen.model = find("#model").value.trim().toLowerCase();
  draw();
});
for (const [select, redraw] of [["#robust", () => drawTradeoffs()], ["#attack", () => drawAllCurves()], ["#heated", () => drawHeat()]]) {
  find(select)?.addEventListener("input", redraw);
}

draw();
