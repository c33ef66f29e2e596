// The data of the page and its filters.

const data = JSON.parse(find("#data").textContent);
const columns = data.columns;
const boards = new Map(Object.entries(data.boards)); // by dataset; "" is the mean over all
const WORST = columns.length - 1;
const selected = { threat: "", dataset: "", model: "" };

const { factor, unit } = data.scale; // rates are shown in percent, CIDEr-D unscaled
const onAxis = (value) => factor * value;
const inUnit = (what) => (unit ? `${what} (${unit})` : what);
const formatted = (value) => decimal(value, data.scale);
const withInterval = (rate) =>
  rate ? `${formatted(rate[0])} [${formatted(rate[1])}, ${formatted(rate[2])}]` : "–";
const passesFilters = (model, threat) =>
  (selected.threat === "" || threat === -1 || threat === Number(selected.threat)) &&
  data.models[model].toLowerCase().includes(selected.model);
const hasNumbers = () => boards.has(selected.dataset); // those of a large suite are loaded
const numbers = (row) => boards.get(selected.dataset)[row];
const rowsOf = (threat) =>
  data.rows
    .map(({ model, threat: of }, place) => ({ model, of, ...numbers(place) }))
    .filter(({ model, of }) => of === threat && passesFilters(model, of));
const threatsShown = () =>
  data.threats.map((_, place) => place).filter((place) => ["", String(place)].includes(selected.threat));
const scope = () => selected.dataset || `mean over ${data.datasets.length} datasets`;
const badge = (threat) =>
  html("span", { class: `badge ${data.threats[threat].kind}` }, name(data.threats[threat].name));
