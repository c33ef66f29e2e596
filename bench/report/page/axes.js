// Scales, axes, and the frame of every figure.

const pen = document.createElement("canvas").getContext("2d");
pen.font = `12px ${getComputedStyle(document.body).fontFamily}`; // as in the style sheet
const textWidth = (text) => pen.measureText(text).width;
const linear = (from, to, start, end) => (value) => start + ((value - from) / (to - from)) * (end - start);
const GRAIN = factor === 100 ? 5 : 0.1; // axes begin and end at multiples of GRAIN
const roundOff = (value) => Number(value.toFixed(6));
const steps = (from, to) => {
  const grains = roundOff((to - from) / GRAIN);
  const step = GRAIN * (grains > 40 ? 10 : grains > 12 ? 4 : grains > 5 ? 2 : 1);
  const first = Math.ceil(roundOff(from / step));
  return Array.from({ length: Math.floor(roundOff(to / step)) - first + 1 }, (_, place) => roundOff((first + place) * step));
};
const range = (rates, floor = null) => {
  const given = rates.filter(Boolean);
  if (!given.length) return [0, 20 * GRAIN];
  const grains = (value, round) => round(roundOff(onAxis(value) / GRAIN)) * GRAIN;
  const low = floor ?? Math.max(0, grains(Math.min(...given.map((rate) => rate[1])), Math.floor));
  const high = grains(Math.max(...given.map((rate) => rate[2])), Math.ceil);
  return [low, Math.min(unit ? 100 : 10, Math.max(low + 2 * GRAIN, high))];
};
const yAxis = (box, y, ticks, title) =>
  svg("g", { class: "axis", "aria-hidden": "true" },
    ticks.map((tick) => [
      svg("line", { x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: box.left - 7, y: y(tick) + 4, "text-anchor": "end" }, String(tick)),
    ]),
    svg("text", { x: 0, y: 10 }, title));
const xAxis = (box, x, ticks, title) =>
  svg("g", { class: "axis", "aria-hidden": "true" },
    ticks.map(([place, text]) => [
      svg("line", { x1: x(place), x2: x(place), y1: box.bottom, y2: box.bottom + 4 }),
      svg("text", { x: x(place), y: box.bottom + 17, "text-anchor": "middle" }, text),
    ]),
    svg("text", { x: (box.left + box.right) / 2, y: box.bottom + 35, "text-anchor": "middle" }, title));

// A page may have a hundred figures, so each is drawn when it comes near the window, or is printed.
const drawSoon = (frame) => frame.dispatchEvent(new Event("near"));
const nearWindow = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) drawSoon(target);
}, { rootMargin: "1000px" });
window.addEventListener("beforeprint", () => all(".drawing").forEach(drawSoon));

const tableOf = (heads, rows) =>
  html("table", {},
    html("thead", {}, html("tr", {}, heads.map((head, place) =>
      html("th", { scope: "col", class: place ? null : "text" }, head)))),
    html("tbody", {}, rows.map(([first, ...rest]) =>
      html("tr", {}, html("th", { scope: "row", class: "text" }, name(first)),
        rest.map((text) => html("td", {}, text))))));
// A figure has a caption with its threat, a drawing that follows the width, and a table of its numbers.
const figure = (threat, about, draw, heads, rows) => {
  const numbersOf = html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": about });
  const table = html("details", { class: "table", ontoggle: () => numbersOf.replaceChildren(tableOf(heads, rows)) },
    html("summary", {}, "Show as a table"), numbersOf);
  let [isNear, width, drawnWidth] = [false, 0, 0];
  const redraw = () => {
    if (isNear && width > 0 && width !== drawnWidth) frame.replaceChildren(...draw((drawnWidth = width)));
  };
  const frame = html("div", { class: "drawing", onnear: () => { isNear = true; redraw(); } });
  new ResizeObserver(([entry]) => { width = Math.round(entry.contentRect.width); redraw(); }).observe(frame);
  const whole = html("figure", {}, html("figcaption", {}, badge(threat), html("span", {}, about)), frame, table);
  nearWindow.observe(frame);
  return whole;
};
