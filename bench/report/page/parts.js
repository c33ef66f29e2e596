// Data of a large suite in script files beside the page, each loaded when a reader asks for it. A page
// that is opened as a file may not read other files, but may run scripts; they call `leaderboardPart`.

const parts = new Map(); // values by name
const loading = new Map(); // promises by name
const otherState = new Set(); // names of parts of a page with other models or columns
window.leaderboardPart = (part, stamp, value) => {
  if (stamp === data.parts?.stamp) parts.set(part, value);
  else otherState.add(part);
};
const run = (address) => new Promise((done) => {
  const end = () => { script.remove(); done(); };
  const script = html("script", { src: address, onload: end, onerror: end });
  document.head.append(script);
});
const loadOnce = async (part) => {
  const file = `leaderboard.parts/${part}.js`;
  otherState.delete(part);
  await run(file);
  if (parts.has(part)) return parts.get(part);
  loading.delete(part); // so that it can be tried again
  throw new Error(otherState.has(part)
    ? `${file} was written with another state of the results: reload the page.`
    : `${file} cannot be loaded: this page needs the folder leaderboard.parts beside it.`);
};
const load = (part) => {
  if (!loading.has(part)) loading.set(part, loadOnce(part));
  return loading.get(part);
};
// Puts a note where a part will be shown, and returns it: the part is loaded when the note is "near".
const awaitPart = (place, part, what, draw) => {
  const note = html("p", { class: "note", role: "status", onnear: () =>
    load(part).then(draw, ({ message }) => { note.textContent = message; }) }, `Loading ${what} …`);
  place.replaceChildren(note);
  return note;
};

const NO_NUMBERS = { rank: null, n: 0, flags: [], rates: columns.map(() => null) };
const loadBoard = (dataset) => load(`dataset-${data.datasets.indexOf(dataset)}`).then((rows) =>
  boards.set(dataset, data.rows.map(({ model, threat }) => rows[`${threat} ${model}`] ?? NO_NUMBERS)));
const partOfModel = (model) => `model-${model}`;
const isThere = (model) => !data.parts || parts.has(partOfModel(model));
// Rates of a row on every dataset; the part of its model must be there.
const ratesOnDatasets = (place) => {
  const { model, threat } = data.rows[place];
  return data.parts
    ? parts.get(partOfModel(model)).rates[threat] ?? data.datasets.map(() => NO_NUMBERS.rates)
    : data.datasets.map((dataset) => boards.get(dataset)[place].rates);
};
const answersOf = ({ place, model, threat }) =>
  (data.parts ? parts.get(partOfModel(model)).answers[threat] : data.answers[place]);
const findingsOnDatasets = (model) =>
  (data.parts ? parts.get(partOfModel(model)).examined : ownProperty(data.examined, data.models[model])) ?? {};
