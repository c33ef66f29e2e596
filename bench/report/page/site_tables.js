// The tables of the leaderboard and of the pages of a model and of a dataset: one per suite.

const groupBy = (list, key) => {
  const groups = new Map();
  for (const item of list) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
};
const modelHead = { key: "model", title: "model", class: "name", rises: true,
  value: ({ model }) => data.models[model][0].toLowerCase(), cell: ({ model, flags }) => nameCell(link(data.models[model]), flags) };
const datasetName = ({ place, dataset }) =>
  dataset >= 0 ? link(data.datasets[dataset]) : `mean over ${data.places[place].datasets || "all"} datasets`;
const datasetHead = { key: "dataset", title: "dataset", class: "name", rises: true,
  value: ({ dataset }) => (dataset < 0 ? "" : data.datasets[dataset][0].toLowerCase()), cell: (line) => nameCell(datasetName(line), line.flags) };
const rankHead = { key: "rank", title: "rank", rises: true, value: ({ rank }) => rank,
  cell: ({ rank }) => html("td", { class: "rank" }, String(rank ?? "–")) };
const sizeHead = { key: "n", title: "n", value: ({ n }) => n, cell: ({ n }) => html("td", { class: "n" }, String(n)) };
// The best number of a column as it is printed; none of a single row.
const bestOf = (rows, column, scale) => {
  const values = rows.map(({ rates }) => rates[column]?.[0]).filter((value) => value !== undefined);
  return rows.length > 1 && values.length ? decimal(Math.max(...values), scale) : null;
};
// The radius stands below the attack, so that more columns fit into a window.
const headOf = (column) => {
  const [attack, ...rest] = column.startsWith("clean") ? [column] : column.split("@");
  return rest.length ? [attack, html("br"), `@${rest.join("@")}`] : attack;
};
const rateHead = (place, column) => {
  const { columns, scale } = data.places[place];
  return { key: columns[column], title: headOf(columns[column]), value: ({ rates }) => rates[column]?.[0],
    cell: ({ rates }, { best }) => rateCell(rates[column], scale, best[column]) };
};
const suiteTable = (place, members) => {
  const { columns, scale, name: suite } = data.places[place];
  const used = columns.map((_, column) => column).filter((column) => members.some(({ rates }) => rates[column]));
  const rates = used.map((column) => rateHead(place, column));
  const ofModel = data.kind === "model";
  const ranked = !ofModel && members.some(({ rank }) => rank !== null);
  const heads = [...(ranked ? [rankHead] : []), ofModel ? datasetHead : modelHead, ...rates, sizeHead];
  const groups = [...groupBy(members, ({ threat }) => threat)].map(([threat, rows]) => ({
    title: [threatBadge(threat), ` ${scope(place)}`], rows,
    best: Object.fromEntries(used.map((column) => [column, ofModel ? null : bestOf(rows, column, scale)])),
  }));
  return suiteSection(place, board(suite, `Numbers of ${suite}`, heads, groups));
};
const scope = (place) => {
  const { datasets, scale } = data.places[place];
  const measure = scale.unit ? `${scale.name}, in percent` : `${scale.name}, ${scale.range}`;
  if (data.kind !== "index") return measure;
  return `${measure}, ${state("dataset") ? `on ${state("dataset")}` : datasets === 1 ? "on its dataset" : `mean over ${datasets || "its"} datasets`}`;
};
// Each model in all suites: a column has one suite, one threat model and one attack.
const overview = (chosen) => {
  const places = [...groupBy(chosen, ({ place, threat }) => `${place} ${threat}`).values()].map(([{ place, threat }]) => {
    const { columns, name: suite, scale } = data.places[place];
    const column = Math.min(1, columns.length - 1); // worst, or the first attack where there is none
    return { place, threat, column, scale, key: `${suite} ${data.threats[threat].name}`, what: columns[column], suite };
  });
  if (new Set(places.map(({ place }) => place)).size < 2) return [];
  const models = [...groupBy(chosen, ({ model }) => model)].map(([model, rows]) => ({ model, rows }));
  const rateOf = ({ rows }, { place, threat, column }) =>
    rows.find((line) => line.place === place && line.threat === threat)?.rates[column];
  const heads = [modelHead, ...places.map((of) => ({
    key: of.key, about: about(of.place), value: (row) => rateOf(row, of)?.[0],
    title: [name(of.suite), html("br"), threatBadge(of.threat), html("br"), of.what].flat(),
    cell: (row) => rateCell(rateOf(row, of), of.scale, null),
  }))];
  return [html("section", { id: "overview" }, html("h2", {}, "Models across suites"),
    html("p", { class: "protocol" }, "A column has the numbers of one suite under one threat model. Numbers of different columns have other images, attacks or protocols and cannot be compared; the tables below have all numbers."),
    board("overview", "Models across suites", heads, [{ title: state("dataset") ? `on ${state("dataset")}` : "means over the datasets of each suite", rows: models }]))];
};
const draw = () => {
  const chosen = lines.filter((line) => passesFilters(line));
  const sections = [...groupBy(chosen, ({ place }) => place)].map(([place, members]) => suiteTable(place, members));
  const models = new Set(chosen.map(({ model }) => model)).size;
  showTables([...(data.kind === "index" ? overview(chosen) : []), ...sections],
    `${chosen.length} of ${lines.length} rows${data.kind === "model" ? "" : `, ${models} models`}`,
    chosen.flatMap(({ flags }) => flags));
};
startPage();
