// What the page knows, and what its filters let through.

const data = JSON.parse(find("#data").textContent);
const columns = data.columns;
const WORST = columns.length - 1;
const chosen = { threat: "", dataset: "", model: "" };

const { factor, digits, unit } = data.scale; // rates are written in percent, CIDEr-D as it is
const onAxis = (value) => factor * value;
const inUnit = (what) => (unit ? `${what} (${unit})` : what);
// as every other table has it: ties go to the even digit, where toFixed takes the larger
const written = (value) => {
  if (value === null || value === undefined) return "–";
  const shown = onAxis(value);
  return digits === 1 && shown % 1 === 0.25 ? `${Math.floor(shown)}.2` : shown.toFixed(digits);
};
const withInterval = (rate) =>
  rate ? `${written(rate[0])} [${written(rate[1])}, ${written(rate[2])}]` : "–";
const lets = (model, threat) =>
  (chosen.threat === "" || threat === -1 || threat === Number(chosen.threat)) &&
  data.models[model].toLowerCase().includes(chosen.model);
const numbers = (row) => data.boards[chosen.dataset][row];
const rowsOf = (threat) =>
  data.rows
    .map(({ model, threat: of }, place) => ({ model, of, ...numbers(place) }))
    .filter(({ model, of }) => of === threat && lets(model, of));
const threatsShown = () =>
  data.threats.map((_, place) => place).filter((place) => ["", String(place)].includes(chosen.threat));
const scope = () => chosen.dataset || `mean over ${data.datasets.length} datasets`;
const badge = (threat) =>
  html("span", { class: `badge ${data.threats[threat].kind}` }, name(data.threats[threat].name));
