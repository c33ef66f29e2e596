// Accuracy against the radius: a line per model, with clean accuracy at zero.

const LINE = 14; // height of a name in pixels

// Moves the names at the ends of the lines apart until they do not overlap.
const separateLabels = (ends, top, bottom) => {
  const sorted = [...ends].sort((a, b) => a.y - b.y);
  let last = top - LINE;
  for (const end of sorted) last = end.at = Math.max(end.y, last + LINE);
  let next = Math.max(bottom, top + LINE * (ends.length - 1)) + LINE;
  for (const end of sorted.reverse()) next = end.at = Math.min(end.at, next - LINE);
};
const drawCurves = (rows, members, high) => (width) => {
  const wanted = Math.max(...rows.map((row) => textWidth(label(row)))) + 36;
  const hasNames = wanted <= width * 0.55; // otherwise they are in the key
  const names = hasNames ? wanted : 14;
  const height = Math.max(300, hasNames ? LINE * rows.length + 70 : 0);
  const box = { left: 30, right: width - names, top: 26, bottom: height - 42 };
  const radii = members.map((column) => columns[column].radius);
  const x = linear(0, Math.max(...radii), box.left + 6, box.right);
  const y = linear(0, high, box.bottom, box.top);
  const series = rows.map((row) => {
    const points = [0, ...members]
      .filter((column) => row.rates[column])
      .map((column) => ({ column, rate: row.rates[column], x: x(columns[column].radius) }))
      .sort((a, b) => a.x - b.x);
    return { row, points, y: points.length ? y(onAxis(points.at(-1).rate[0])) : box.bottom };
  });
  separateLabels(series, box.top, box.bottom);
  const items = series.filter(({ points }) => points.length).map(({ row, points, y: end, at }) => {
    const description = points.map(({ column, rate }) => `${columns[column].key} ${withInterval(rate)}`);
    const path = points.map(({ rate, x: place }, index) => `${index ? "L" : "M"}${place},${y(onAxis(rate[0]))}`).join("");
    return svg("g", { class: `item ${colour(row.model)}`, role: "img", "aria-label": [label(row), ...description].join("; ") },
      points.map(({ rate, x: place }) =>
        svg("line", { class: "whisker", x1: place, x2: place, y1: y(onAxis(rate[1])), y2: y(onAxis(rate[2])) })),
      svg("path", { class: "hit", d: path }),
      svg("path", { class: "curve", d: path }),
      points.map(({ rate, x: place }) => mark(row.model, place, y(onAxis(rate[0])), true, 3.4)),
      svg("circle", { class: "ring at", cx: points.at(-1).x, cy: end, r: 8 }),
      hasNames ? [
        svg("path", { class: "lead", d: `M${points.at(-1).x + 5},${end}L${box.right + 16},${at}` }),
        mark(row.model, box.right + 22, at, true, 3.4),
        svg("text", { class: "halo", x: box.right + 31, y: at + 4 }, label(row)),
      ] : []);
  });
  const ticks = [[0, "0"], ...members.map((column) => [columns[column].radius, columns[column].eps])];
  const apart = ticks.filter(([place], index) => !index || x(place) - x(ticks[index - 1][0]) > 24);
  const norm = columns[members[0]].norm === "l2" ? "L2" : "L∞";
  const drawing = interactive(
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${data.scale.name} against the radius; arrow keys go from model to model` },
      yAxis(box, y, steps(0, high), data.scale.axis),
      xAxis(box, x, apart, `ε (${norm})`),
      items),
    items);
  return hasNames ? [drawing] : [drawing, key(rows)];
};
const drawAllCurves = () => {
  if (!hasNumbers()) return;
  const members = find("#attack").value.split(" ").map(Number).sort((a, b) => columns[a].radius - columns[b].radius);
  const title = find("#attack").selectedOptions[0].textContent;
  const shown = threatsShown().map((threat) => ({
    threat,
    rows: rowsOf(threat).filter(({ rates }) => members.some((column) => rates[column])),
  }));
  const rates = shown.flatMap(({ rows }) => rows.flatMap((row) => [0, ...members].map((column) => row.rates[column])));
  const [, high] = range(rates, 0);
  find("#curves .panels").replaceChildren(...shown.filter(({ rows }) => rows.length).map(({ threat, rows }) =>
    figure(threat, `${title}, ${scope()}`, drawCurves(rows, members, high),
      ["model", "clean", ...members.map((column) => columns[column].eps)],
      rows.map((row) => [label(row), ...[0, ...members].map((column) => withInterval(row.rates[column]))]))));
};
