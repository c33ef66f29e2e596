// A heat map of a model: every dataset under every attack.

// cividis: lightness grows with the value, so it works in grey and for the colour-blind
const SCALE = [[0, 34, 78], [65, 77, 107], [124, 123, 120], [188, 175, 111], [254, 232, 56]];
const shade = (value) => {
  const at = Math.min(value, 0.9999) * (SCALE.length - 1);
  const low = Math.floor(at);
  return SCALE[low].map((part, place) => Math.round(part + (at - low) * (SCALE[low + 1][place] - part)));
};
const brightness = (rgb) => {
  const [r, g, b] = rgb.map((part) => (part / 255 <= 0.04 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
// no model reaches the maximal CIDEr-D of 10, so the colour scale ends at the best number of the page
const highest = Math.max(data.highest, Number.MIN_VALUE);
const heatCell = (rate) => {
  if (!rate) return html("td", {}, "–");
  const rgb = shade(rate[0] / highest);
  const cell = html("td", { class: brightness(rgb) > 0.18 ? "dark" : "light", title: withInterval(rate) }, formatted(rate[0]));
  cell.style.background = `rgb(${rgb.join(" ")})`;
  return cell;
};
const drawHeat = () => {
  const model = Number(find("#heated").value);
  if (!isThere(model)) {
    nearWindow.observe(awaitPart(find("#heat .panels"), partOfModel(model), `the numbers of ${data.models[model]}`, drawHeat));
    return;
  }
  const shown = threatsShown()
    .map((threat) => ({ threat, place: data.rows.findIndex((row) => row.model === model && row.threat === threat) }))
    .filter(({ place }) => place >= 0);
  const spans = [];
  columns.forEach((column, place) => {
    const title = [column.attack, column.metric].join(" ").trim();
    if (spans.at(-1)?.title !== title) spans.push({ title, members: [] });
    spans.at(-1).members.push(place);
  });
  const line = (title, rates, mean) =>
    html("tr", { class: mean ? "mean" : null }, html("th", { scope: "row" }, name(title)),
      spans.flatMap(({ members }) => members.map((column) => heatCell(rates[column]))));
  find("#heat .panels").replaceChildren(...shown.map(({ threat, place }) => {
    const about = [name(data.models[model])];
    const { flags, rates: means } = boards.get("")[place];
    const rates = ratesOnDatasets(place);
    return html("figure", {},
      html("figcaption", {}, badge(threat), html("span", {}, about), flags.map(flagOf)),
      html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${data.models[model]}, ${data.threats[threat].name}` },
        html("table", { class: "map" },
          html("thead", {},
            html("tr", {}, html("td"), spans.map(({ title, members }) =>
              html("th", { scope: "colgroup", colspan: members.length }, title))),
            html("tr", {}, html("td"), spans.flatMap(({ members }) =>
              members.map((column) => html("th", { scope: "col" }, columns[column].eps))))),
          html("tbody", {},
            data.datasets.map((dataset, index) => line(dataset, rates[index])),
            data.datasets.length > 1 && line("mean", means, true)))));
  }));
};
