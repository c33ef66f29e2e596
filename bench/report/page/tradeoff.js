// Clean against robust accuracy with the Pareto front of each threat.

const dominates = (first, second) =>
  first[0] >= second[0] && first[1] >= second[1] && (first[0] > second[0] || first[1] > second[1]);
const label = (row) => data.models[row.model] + (row.flags.length ? " †" : "");

// Places each name where it covers no mark and no other name, or as little as possible.
const placeNames = (points, line, box) => {
  const taken = [
    ...points.map(({ x, y }) => [x - 7, y - 7, x + 7, y + 7]),
    ...line.flatMap(({ x, y }, place) => [
      [place ? line[place - 1].x : box.left, y - 2, x, y + 2],
      [x - 2, y, x + 2, line[place + 1]?.y ?? box.bottom],
    ]),
  ];
  const overlap = (a, b) =>
    Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  return points.map((point) => {
    const wide = point.text.length * TEXT;
    const places = [[9, -7], [-9 - wide, -7], [-wide / 2, -23], [-wide / 2, 9], [7, -20], [7, 7], [-7 - wide, -20], [-7 - wide, 7]];
    let best = null;
    for (const [dx, dy] of places) {
      const spot = [point.x + dx, point.y + dy, point.x + dx + wide, point.y + dy + 14];
      const outside = Math.max(0, spot[2] - box.right - 12) + Math.max(0, box.left - spot[0]) + Math.max(0, box.top - 4 - spot[1]);
      const cost = 40 * outside + taken.reduce((sum, other) => sum + overlap(spot, other), 0);
      if (best === null || cost < best.cost) best = { spot, cost, anchor: dx < -wide ? "end" : "start" };
      if (cost === 0) break;
    }
    taken.push(best.spot);
    return best;
  });
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
  const names = points.length > 24 ? placeNames(front, line, box) : placeNames(points, line, box);
  const named = points.length > 24 ? front : points;
  const items = points.map((point) => {
    const description = `${point.text}; clean ${withInterval(point.row.rates[0])}; ${columns[column].key} ${withInterval(point.row.rates[column])}`;
    const spot = named.includes(point) ? names[named.indexOf(point)] : null;
    return svg("g", { class: `item ${colour(point.row.model)}`, role: "img", "aria-label": description },
      svg("line", { class: "whisker", x1: x(point.clean[1]), x2: x(point.clean[2]), y1: point.y, y2: point.y }),
      svg("line", { class: "whisker", x1: point.x, x2: point.x, y1: y(point.robust[1]), y2: y(point.robust[2]) }),
      svg("circle", { class: "ring at", cx: point.x, cy: point.y, r: 10 }),
      mark(point.row.model, point.x, point.y, front.includes(point)),
      spot && spot.cost < 160 && svg("text", { class: "halo", x: spot.spot[spot.anchor === "end" ? 2 : 0], y: spot.spot[1] + 11, "text-anchor": spot.anchor }, point.text));
  });
  return interactive(
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Clean against robust ${data.scale.name}; arrow keys go from model to model` },
      path && svg("path", { class: "under", d: `${path}V${box.bottom}H${box.left}z` }),
      yAxis(box, y, steps(...limits.y), inUnit(columns[column].key)),
      xAxis(box, x, steps(...limits.x).map((tick) => [tick, String(tick)]), `clean ${data.scale.axis}`),
      path && svg("path", { class: "front", d: `${path}V${box.bottom}` }),
      items),
    items);
};
const drawTradeoffs = () => {
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
