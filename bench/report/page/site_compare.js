// Two models side by side: their numbers in each suite that scores both, and the paired test.
// If no suite scores both, their numbers in two suites stand side by side.

const LEVEL = 0.05;
const tests = new Map(); // by suites, models, threat, column of the first suite and dataset
const compared = new Set(); // suites and models
for (const [...pair] of data.tests) {
  const found = pair.pop();
  compared.add(pair.join());
  for (const [threat, column, dataset, note, ...numbers] of found) {
    tests.set([...pair, threat, column, dataset].join(), { note, numbers });
  }
}
const pairOf = (first, second) => [first.place, second.place, first.model, second.model].join();
const areCompared = (first, second) => compared.has(pairOf(first, second)) || compared.has(pairOf(second, first));
// The test of A less B, which may be stored as B less A; clean numbers are the same under every threat.
const testOf = (first, second, what) => {
  const under = what.split(" ")[0] === "clean" ? -1 : first.threat;
  const [forth, back] = [[first, second], [second, first]].map((pair) =>
    tests.get([pairOf(...pair), under, data.places[pair[0].place].columns.indexOf(what), first.dataset].join()));
  const found = forth ?? back;
  if (!found) return null;
  const [delta, low, high, p] = found.numbers;
  return { note: data.notes[found.note], p, delta: delta === null ? null : forth ? [delta, low, high] : [-delta, -high, -low] };
};
const verdict = ({ test, a, b, perImage }) => {
  if (!test) return [perImage ? "no paired test" : "no results per image"];
  if (test.note) return [test.note];
  if (test.p >= LEVEL) return ["not separated"];
  return [html("span", { class: "wins" }, name(data.models[test.delta[0] > 0 ? a : b][0])), " is better"];
};
const valueCell = (side) => (row) => rateCell(row[side], row.scale, null);
const numberOf = (value) => (value < 0.001 ? "< 0.001" : value.toPrecision(2));
// Numbers of two suites that are not of the same images and attacks have no difference.
const differenceOf = ({ test, first, second }) => (test ? test.delta?.[0] ?? null : first[0] - second[0]);
const heads = (a, b) => [
  { key: "number", title: "number", class: "name", cell: (row) => html("th", { scope: "row", class: "name" }, html("span", { class: "of" }, name(row.what)),
    html("small", { class: "narrow" }, verdict(row))), rises: true, value: ({ place }) => place },
  ...[["first", a], ["second", b]].map(([side, model]) => ({
    key: side, title: name(data.models[model][0]), value: (row) => row[side][0], cell: valueCell(side) })),
  { key: "difference", title: "A − B", value: differenceOf,
    cell: (row) => html("td", {}, decimal(differenceOf(row), row.scale, "+"),
      Boolean(row.test?.delta) && state("intervals") !== "off" && html("small", { class: "interval" }, html("span", { class: "unseen" }, " 95%: "),
        `${decimal(row.test.delta[1], row.scale, "+")} to ${decimal(row.test.delta[2], row.scale, "+")}`)) },
  { key: "p", title: "p (Holm)", rises: true, value: ({ test }) => test?.p, cell: ({ test }) => html("td", {}, test?.delta ? numberOf(test.p) : "–") },
  { key: "verdict", title: "paired test", class: "text", rises: true, value: ({ test }) => test?.p, cell: (row) => html("td", { class: "text verdict" }, verdict(row)) },
];
const rowsOf = (first, second) => {
  const { columns, scale, per_image: perImage } = data.places[first.place];
  const theirs = data.places[second.place].columns;
  return columns.map((what, place) => ({ what, place, scale, perImage, a: first.model, b: second.model,
    first: first.rates[place], second: second.rates[theirs.indexOf(what)], test: testOf(first, second, what) }))
    .filter((row) => row.first && row.second && (first.place === second.place || row.test));
};
const groupOf = ([first, second]) => ({
  title: [threatBadge(first.threat), ` ${first.dataset < 0 ? "mean over the datasets" : data.datasets[first.dataset][0]}`],
  rows: rowsOf(first, second) });
const pairsOf = (a, b, chosen, fits) => {
  const theirs = chosen.filter(({ model }) => model === b);
  return chosen.filter(({ model }) => model === a).flatMap((first) => theirs
    .filter((second) => second !== first && first.threat === second.threat && first.dataset === second.dataset && fits(first, second))
    .map((second) => [first, second]));
};
const sectionOf = (pairs, a, b) => {
  const [[{ place }, { place: other }]] = pairs;
  const [ours, theirs] = [data.places[place].name, data.places[other].name];
  const groups = pairs.map(groupOf).filter(({ rows }) => rows.length);
  if (!groups.length) return [];
  const label = place === other ? `Both models in ${ours}` : `The first model in ${ours}, the second in ${theirs}`;
  const table = board(`${place} ${other}`, label, heads(a, b), groups);
  if (place === other) return [suiteSection(place, table)];
  return [html("section", { "data-suite": `${ours} and ${theirs}` },
    html("h2", {}, name(data.models[a][0]), " in ", name(ours), ", ", name(data.models[b][0]), " in ", name(theirs)),
    html("p", { class: "protocol" }, [...new Set([place, other].map(about))].join(" | ")), table)];
};
const placesOf = (wanted) => [...new Set(lines.filter(({ model }) => model === wanted).map(({ place }) => place))];
// Why two models that no suite scores both are not compared.
const whyApart = (a, b) => {
  const [ours, theirs] = [a, b].map(placesOf);
  const without = [...new Set([...ours, ...theirs])].filter((place) => !data.places[place].per_image).map((place) => data.places[place].name);
  const tried = ours.some((place) => theirs.some((other) => areCompared({ place, model: a }, { place: other, model: b })));
  if (tried) return "Their suites have no dataset, attack and threat model in common, or the filters exclude them.";
  if (without.length) return `Numbers of two suites can be compared only with their results per image, which are missing in: ${without.join(", ")}.`;
  return "This site has too many pairs of models to test them all.";
};
const draw = () => {
  const [a, b] = ["a", "b"].map((side) => data.models.findIndex(([text]) => text === state(side)));
  const together = placesOf(a).some((place) => placesOf(b).includes(place));
  const pairs = together
    ? pairsOf(a, b, lines.filter((line) => passesFilters(line)), (first, second) => first.place === second.place)
    : pairsOf(a, b, lines.filter((line) => passesFilters(line, true)), areCompared);
  const bySuites = new Map();
  for (const pair of pairs) {
    const key = pair.map(({ place }) => place).join();
    bySuites.set(key, [...(bySuites.get(key) ?? []), pair]);
  }
  const sections = [...bySuites.values()].flatMap((some) => sectionOf(some, a, b));
  find("#none").textContent = together ? "No number matches the filters." : `No suite scores both models. ${whyApart(a, b)}`;
  showTables(sections, together ? `${sections.length} ${sections.length === 1 ? "suite has" : "suites have"} both models` : "no suite has both models",
    pairs.flat().flatMap(({ flags }) => flags));
};
startPage();
if (state("a") === state("b") && data.models.length > 1) { // the page of a model links to it as A
  form.elements.b.value = data.models.find(([text]) => text !== state("a"))[0];
  draw();
}
