// Clean against robust accuracy with the Pareto front of each threat.

const dominates = (first, second) =>
  first[0] >= second[0] && first[1] >= second[1] && (first[0] > second[0] || first[1] > second[1]);
const label = (row) => data.models[row.model] + (row.flags.length ? " †" : "");

const overlap = (a, b) =>
  Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
const grown = ([left, top, right, bottom], by) => [left - by, top - by, right + by, bottom + by];
const MOST_NAMED = 60; // with more points, only those of the front get a name in the drawing

// Places names beside their marks, inside the box: a name covers no mark and no other name, and is
// not beside another mark. The key has the names that find no place. Returns spots by point.
const placeNames = (points, line, box) => {
  const [spots, taken] = [new Map(), []];
  const marks = new Map(points.map((point) => [point, [point.x - 7, point.y - 7, point.x + 7, point.y + 7]]));
  const front = line.flatMap(({ x, y }, place) => [
    [place ? line[place - 1].x : box.left, y - 2, x, y + 2],
    [x - 2, y, x + 2, line[place + 1]?.y ?? box.bottom],
  ]);
  const isNear = (point) => points.filter((other) => Math.abs(other.x - point.x) < 90 && Math.abs(other.y - point.y) < 24).length;
  const isFree = (point, spot) =>
    spot[0] >= box.left && spot[2] <= box.right + 12 && spot[1] >= box.top - 8 && spot[3] <= box.bottom &&
    points.every((other) => !overlap(other === point ? spot : grown(spot, 5), marks.get(other))) &&
    taken.every((other) => !overlap(grown(spot, 1), other));
  const named = points.length > MOST_NAMED ? line : points;
  for (const point of [...named].sort((a, b) => isNear(a) - isNear(b))) {
    const wide = textWidth(point.text);
    const free = [[9, -7], [-9 - wide, -7], [-wide / 2, -23], [-wide / 2, 9], [5, -21], [5, 7], [-5 - wide, -21], [-5 - wide, 7]]
      .map(([dx, dy]) => [point.x + dx, point.y + dy, point.x + dx + wide, point.y + dy + 14])
      .filter((spot) => isFree(point, spot))
      .map((spot) => ({ spot, cost: front.reduce((sum, other) => sum + overlap(spot, other), 0) }));
    if (!free.length) continue;
    const best = free.reduce((least, other) => (other.cost < least.cost ? other : least));
    spots.set(point, best.spot);
    taken.push(best.spot);
  }
  return spots;
};
const drawTradeoff = (rows, column, limits) => (width) => {
  const height = Math.round(Math.min(420, Math.max(290, width * 0.72)));
  const box = { left: 30, right: width - 12, top: 26, bottom: height - 42 };
  const x = linear(...limits.x, box.left, box.right);
  const y = linear(...limits.y, box.bottom, box.top);
  const points = rows.map((row) => {
    const [clean, robust] = [row.rates[0], row.rates[column]].map((rate) => rate.map(onAxis));
    return { row, clean, robust, x: x(clean[0]), y: y(robust[0]), text: label(row) };
  });
  const at = ({ clean, robust }) => [clean[0], robust[0]];
  const front = points.filter((point) => !points.some((other) => dominates(at(other), at(point))));
  const line = [...front].sort((a, b) => a.x - b.x || a.y - b.y);
  const path = line.map((point, place) => `${place ? "V" : "M" + box.left + ","}${point.y}H${point.x}`).join("");
  const spots = placeNames(points, line, box);
  const items = points.map((point) => {
    const description = `${point.text}; clean ${withInterval(point.row.rates[0])}; ${columns[column].key} ${withInterval(point.row.rates[column])}`;
    const spot = spots.get(point);
    return svg("g", { class: `item ${colour(point.row.model)}`, role: "img", "aria-label": description },
      svg("line", { class: "whisker", x1: x(point.clean[1]), x2: x(point.clean[2]), y1: point.y, y2: point.y }),
      svg("line", { class: "whisker", x1: point.x, x2: point.x, y1: y(point.robust[1]), y2: y(point.robust[2]) }),
      svg("circle", { class: "ring at", cx: point.x, cy: point.y, r: 10 }),
      mark(point.row.model, point.x, point.y, front.includes(point)),
      spot ? svg("text", { class: "halo", x: spot[0], y: spot[1] + 11 }, point.text) : null);
  });
  const drawing = interactive(
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Clean against robust ${data.scale.name}; arrow keys go from model to model` },
      path && svg("path", { class: "under", d: `${path}V${box.bottom}H${box.left}z` }),
      yAxis(box, y, steps(...limits.y), inUnit(columns[column].key)),
      xAxis(box, x, steps(...limits.x).map((tick) => [tick, String(tick)]), `clean ${data.scale.axis}`),
      path && svg("path", { class: "front", d: `${path}V${box.bottom}` }),
      items),
    items);
  return spots.size < points.length ? [drawing, key(rows)] : [drawing];
};
const drawTradeoffs = () => {
  if (!hasNumbers()) return;
  const column = Number(find("#robust").value);
  const shown = threatsShown().map((threat) => ({
    threat,
    rows: rowsOf(threat).filter(({ rates }) => rates[0] && rates[column]),
  }));
  const every = shown.flatMap(({ rows }) => rows);
  const limits = {
    x: range(every.map(({ rates }) => rates[0])),
    y: range(every.map(({ rates }) => rates[column]), 0),
  };
  find("#tradeoff .panels").replaceChildren(...shown.filter(({ rows }) => rows.length).map(({ threat, rows }) =>
    figure(threat, `clean against ${columns[column].key}, ${scope()}${rows.some(({ flags }) => flags.length) ? "; † flagged" : ""}`,
      drawTradeoff(rows, column, limits),
      ["model", "clean", columns[column].key],
      rows.map((row) => [label(row), withInterval(row.rates[0]), withInterval(row.rates[column])]))));
};
