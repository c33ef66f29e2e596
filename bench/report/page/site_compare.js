// Two models side by side: their numbers in each suite that scores both, and the paired test.

const LEVEL = 0.05;
const tests = new Map(); // by suite, models, threat, column and dataset
for (const [place, first, second, found] of data.tests) {
  for (const [threat, column, dataset, note, ...numbers] of found) {
    tests.set([place, first, second, threat, column, dataset].join(), { note, numbers });
  }
}
// The test of A less B, which may be stored as B less A; clean numbers are the same under every threat.
const testOf = (place, a, b, threat, column, dataset) => {
  const under = data.places[place].columns[column].split(" ")[0] === "clean" ? -1 : threat;
  const [forth, back] = [[a, b], [b, a]].map((pair) => tests.get([place, ...pair, under, column, dataset].join()));
  const found = forth ?? back;
  if (!found) return null;
  const [delta, low, high, p] = found.numbers;
  return { note: data.notes[found.note], p, delta: forth ? [delta, low, high] : [-delta, -high, -low] };
};
const verdict = ({ test, a, b }) => {
  if (!test) return ["no paired test"];
  if (test.note) return [test.note];
  if (test.p >= LEVEL) return ["not separated"];
  return [html("span", { class: "wins" }, name(data.models[test.delta[0] > 0 ? a : b][0])), " is better"];
};
const valueCell = (side) => (row) => rateCell(row[side], row.scale, null);
const numberOf = (value) => (value < 0.001 ? "< 0.001" : value.toPrecision(2));
const heads = (a, b) => [
  { key: "number", title: "number", class: "name", cell: ({ what }) => html("th", { scope: "row", class: "name" }, name(what)), rises: true, value: ({ place }) => place },
  ...[["first", a], ["second", b]].map(([side, model]) => ({
    key: side, title: name(data.models[model][0]), value: (row) => row[side][0], cell: valueCell(side) })),
  { key: "difference", title: "A − B", value: ({ test, first, second }) => test?.delta[0] ?? first[0] - second[0],
    cell: ({ test, first, second, scale }) => html("td", {}, decimal(test?.delta[0] ?? first[0] - second[0], scale, "+"),
      test !== null && state("intervals") !== "off" && html("small", { class: "interval" }, html("span", { class: "unseen" }, " 95%: "),
        `${decimal(test.delta[1], scale, "+")} to ${decimal(test.delta[2], scale, "+")}`)) },
  { key: "p", title: "p (Holm)", rises: true, value: ({ test }) => test?.p, cell: ({ test }) => html("td", {}, test ? numberOf(test.p) : "–") },
  { key: "verdict", title: "paired test", class: "text", rises: true, value: ({ test }) => test?.p, cell: (row) => html("td", { class: "text verdict" }, verdict(row)) },
];
const rowsOf = (first, second) => {
  const { columns, scale } = data.places[first.place];
  return columns.map((what, column) => ({ what, place: column, scale, a: first.model, b: second.model,
    first: first.rates[column], second: second.rates[column],
    test: testOf(first.place, first.model, second.model, first.threat, column, first.dataset) }))
    .filter((row) => row.first && row.second);
};
const draw = () => {
  const [a, b] = ["a", "b"].map((side) => data.models.findIndex(([text]) => text === state(side)));
  const chosen = lines.filter(passesFilters);
  const pairs = chosen.filter(({ model }) => model === a).flatMap((first) => chosen
    .filter((second) => second.model === b && second !== first &&
      ["place", "threat", "dataset"].every((key) => first[key] === second[key]))
    .map((second) => [first, second]));
  const places = [...new Set(pairs.map(([{ place }]) => place))];
  const sections = places.map((place) => {
    const groups = pairs.filter(([first]) => first.place === place).map(([first, second]) => ({
      title: [threatBadge(first.threat), ` ${first.dataset < 0 ? "mean over the datasets" : data.datasets[first.dataset][0]}`],
      rows: rowsOf(first, second) }));
    return suiteSection(place, board(data.places[place].name, `Both models in ${data.places[place].name}`, heads(a, b), groups));
  });
  showTables(sections, places.length === 1 ? "1 suite has both models" : `${places.length} suites have both models`,
    pairs.flat().flatMap(({ flags }) => flags));
};
startPage();
if (state("a") === state("b") && data.models.length > 1) { // the page of a model links to it as A
  form.elements.b.value = data.models.find(([text]) => text !== state("a"))[0];
  draw();
}
