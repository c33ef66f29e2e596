// The data of a page of the site, and its filters, which the address of the page keeps.

const data = JSON.parse(find("#data").textContent);
const form = find("#filters");
form.reset(); // a browser may restore choices, but the address has them
const fields = [...form.elements].filter((field) => field.name);
// Choices that are the same in an empty address are left out of it.
const usual = Object.fromEntries(fields.map(({ name: field, value }) => [field, value]));
const state = (field) => form.elements[field]?.value ?? "";

const readAddress = () => {
  for (const [field, value] of new URLSearchParams(location.search)) {
    const found = fields.find((each) => each.name === field);
    if (found) found.value = value;
    if (found?.selectedIndex === -1) found.value = usual[field]; // the results have no such choice
  }
};
const writeAddress = () => {
  const changed = fields.filter(({ name: field, value }) => value !== usual[field]);
  const query = new URLSearchParams(changed.map(({ name: field, value }) => [field, value]));
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
};
// A line is a model under a threat on a dataset; on -1, the mean over the datasets of its suite.
const lines = data.lines.map(([place, threat, model, dataset, rank, n, flags, rates]) =>
  ({ place, threat, model, dataset, rank, n, flags, rates }));
const isChosen = (field, text) => state(field) === "" || state(field) === text;
const isMain = ({ place, dataset }) => dataset === -1 || data.places[place].datasets === 1;
// `every`: also lines of single datasets of suites that have a mean, if no dataset is chosen.
const passesFilters = (line, every = false) =>
  isChosen("suite", data.places[line.place].name) &&
  isChosen("protocol", data.places[line.place].protocol) &&
  isChosen("threat", data.threats[line.threat].name) &&
  data.models[line.model][0].toLowerCase().includes(state("q").trim().toLowerCase()) &&
  (state("dataset") ? line.dataset >= 0 && data.datasets[line.dataset][0] === state("dataset")
    : every || ["model", "dataset"].includes(data.kind) || isMain(line));
