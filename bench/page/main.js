// The filters, the theme, and the first drawing.

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

const theme = find("#theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
system.addEventListener("change", showTheme);
showTheme();
draw();
