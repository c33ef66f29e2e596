// Colour and shape of each model in the figures: 20 shapes, so that grey prints show them too, and
// 140 models have different marks. `radapt.figures.marks` has those of the figures for papers.

const SHAPES = [
  (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
  (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (r) => `M0,${-1.2 * r}L${1.15 * r},${0.85 * r}H${-1.15 * r}z`,
  (r) => `M0,${-1.35 * r}L${1.35 * r},0L0,${1.35 * r}L${-1.35 * r},0z`,
  (r) => `M0,${1.2 * r}L${1.15 * r},${-0.85 * r}H${-1.15 * r}z`,
  (r) => `M${-1.2 * r},${-0.4 * r}h${0.8 * r}v${-0.8 * r}h${0.8 * r}v${0.8 * r}h${0.8 * r}v${0.8 * r}h${-0.8 * r}v${0.8 * r}h${-0.8 * r}v${-0.8 * r}h${-0.8 * r}z`,
  (r) => `M${-r},${-0.5 * r}L${-0.5 * r},${-r}L0,${-0.5 * r}L${0.5 * r},${-r}L${r},${-0.5 * r}L${0.5 * r},0L${r},${0.5 * r}L${0.5 * r},${r}L0,${0.5 * r}L${-0.5 * r},${r}L${-r},${0.5 * r}L${-0.5 * r},0z`,
  (r) => `M${-1.2 * r},0L${0.85 * r},${-1.15 * r}V${1.15 * r}z`,
  (r) => `M0,${-1.4 * r}L${1.35 * r},${-0.35 * r}L${0.8 * r},${1.2 * r}H${-0.8 * r}L${-1.35 * r},${-0.35 * r}z`,
  (r) => `M${1.2 * r},0L${-0.85 * r},${-1.15 * r}V${1.15 * r}z`,
];
const HOLE = (r) => `M${-0.38 * r},0a${0.38 * r},${0.38 * r} 0 1,0 ${0.76 * r},0a${0.38 * r},${0.38 * r} 0 1,0 ${-0.76 * r},0`;
const COLOURS = 7; // in the style sheet
const colour = (model) => `s${model % COLOURS}`;
const mark = (model, x, y, full, r = 4.6) => {
  const again = Math.floor(model / SHAPES.length) % 2;
  const shape = SHAPES[model % SHAPES.length](again ? 1.2 * r : r) + (again ? HOLE(1.2 * r) : "");
  return svg("path", { class: full ? "mark full" : "mark", d: shape, "fill-rule": "evenodd", transform: `translate(${x},${y})` });
};
// Lists marks with their names, below a drawing that has no room for all names.
const key = (rows) =>
  html("ul", { class: "key", "aria-label": "Key" }, rows.map((row) =>
    html("li", { class: colour(row.model) },
      svg("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, mark(row.model, 0, 0, true)), name(label(row)))));
