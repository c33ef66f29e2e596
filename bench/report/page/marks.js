// Colour and shape of each model in the figures; 49 models have different pairs.

const SHAPES = [
  (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
  (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (r) => `M0,${-1.2 * r}L${1.15 * r},${0.85 * r}H${-1.15 * r}z`,
  (r) => `M0,${-1.35 * r}L${1.35 * r},0L0,${1.35 * r}L${-1.35 * r},0z`,
  (r) => `M0,${1.2 * r}L${1.15 * r},${-0.85 * r}H${-1.15 * r}z`,
  (r) => `M${-1.2 * r},${-0.4 * r}h${0.8 * r}v${-0.8 * r}h${0.8 * r}v${0.8 * r}h${0.8 * r}v${0.8 * r}h${-0.8 * r}v${0.8 * r}h${-0.8 * r}v${-0.8 * r}h${-0.8 * r}z`,
  (r) => `M0,${-1.3 * r}L${1.2 * r},${-0.4 * r}L${0.75 * r},${1.1 * r}H${-0.75 * r}L${-1.2 * r},${-0.4 * r}z`,
];
const colour = (model) => `s${model % SHAPES.length}`;
const mark = (model, x, y, full, r = 4.6) => {
  const shape = SHAPES[(model + Math.floor(model / SHAPES.length)) % SHAPES.length](r);
  return svg("path", { class: full ? "mark full" : "mark", d: shape, transform: `translate(${x},${y})` });
};
