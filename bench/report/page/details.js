// What stands behind a row, from the manifest, in a dialog.

const FLAGS = {
  "source=target": "the images were crafted on the model itself: a white-box attack that does not stop early",
  incomplete: "a cell failed or has not run; means over fewer datasets are left blank",
  skipped: "an attack is not defined for one of the datasets",
};
const own = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined); // not `constructor`
const meaning = (flag) => own(FLAGS, flag) ?? own(data.meanings, flag.split("=")[1]) ?? "";
const pairs = (list) => html("dl", {}, list.map(([word, text]) => [html("dt", {}, word), html("dd", {}, text)]));
const inLine = (list) => list.map((pair) => pair.join(" ")).join(", ");
const dialog = find("#details");
const answer = (said) => html("td", { class: "text" }, said ? [html("q", {}, name(said[0])), ` ${written(said[1])}${unit}`] : "–");
const answers = (list) => !list?.length ? [] : [
  html("h3", {}, "Some of what it said"),
  html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Some of what it said" },
    html("table", { class: "said" },
      html("thead", {}, html("tr", {}, ["dataset", "sample", "without an attack", "attacked"].map((head) =>
        html("th", { scope: "col", class: "text" }, head)))),
      html("tbody", {}, list.map(({ dataset, sample, column, clean, attacked }) =>
        html("tr", {}, [dataset, sample].map((text) => html("td", { class: "text" }, name(text))),
          answer(clean), answer(attacked)))))),
  html("p", { class: "note" }, `Images drawn by the suite's seed; under ${[...new Set(list.map(({ column }) => column))].join(", ") || "no attack"}; the score stands behind each answer. answers.csv, beside this page, has all.`)];

// What the trust battery found of a model: first what is bad, with its evidence, then the rest behind a count.
const verdicts = (list) => html("dl", { class: "verdicts" }, list.map(([verdict, check, said]) =>
  [html("dt", {}, html("b", { class: verdict }, verdict), ` ${check}`), html("dd", {}, said)]));
const counted = (list) => ["pass", "skip"].map((kind) => [list.filter(([verdict]) => verdict === kind).length, kind])
  .filter(([count]) => count).map((pair) => pair.join(" ")).join(", ");
const examination = (title, { of, left, found }) => {
  const bad = found.filter(([verdict]) => verdict === "fail" || verdict === "warn");
  const rest = found.filter((one) => !bad.includes(one));
  return [html("h4", {}, name(title)),
    html("p", { class: "note" }, `${of}${left ? `; ${left} checks not done` : ""}`),
    bad.length ? verdicts(bad) : null,
    rest.length ? html("details", {}, html("summary", {}, counted(rest)), verdicts(rest)) : null];
};
const examinations = (model) => {
  const known = own(data.examined, model) ?? {};
  const missing = data.datasets.filter((dataset) => !own(known, dataset));
  return [html("h3", {}, "Can the robust numbers be believed?"),
    ...data.datasets.filter((dataset) => own(known, dataset)).map((dataset) => examination(dataset, known[dataset])),
    missing.length ? html("p", { class: "note" }, "not examined: ", missing.map((dataset, place) => [place ? ", " : "", name(dataset)])) : null];
};

const openDetails = ({ place, model, threat }) => {
  const { models, datasets, attacks, ran_on } = data.details;
  const named = data.models[model];
  const { kind, source } = data.threats[threat];
  const { flags } = data.boards[""][place];
  const part = (title, list, tag = "h4") => list?.length ? [html(tag, {}, name(title)), pairs(list)] : [];
  dialog.replaceChildren(
    html("div", { class: "head" },
      html("h2", { id: "details-title" }, name(named), " ", badge(threat)),
      html("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close")),
    ...flags.map((flag) => html("p", {}, html("span", { class: "flag" }, flag), ` ${meaning(flag)}`)),
    ...answers(data.said[place]),
    ...(kind ? examinations(named) : []).flat(Infinity).filter(Boolean),
    ...part("Model", own(models, named), "h3"),
    ...(kind === "transfer" ? part(`Source of the images: ${source}`, own(models, source), "h3") : []),
    ...(kind ? part("Attacks", Object.entries(attacks).map(([title, list]) => [title, inLine(list)]), "h3") : []),
    html("h3", {}, "Datasets"), ...Object.entries(datasets).flatMap(([title, list]) => part(title, list)),
    ...part("Ran on", own(ran_on, named), "h3"),
    html("p", { class: "note" }, "manifest.json, beside this page, has a line for each cell."));
  dialog.showModal();
};
for (const line of lines) find(".more", line.line).addEventListener("click", () => openDetails(line));
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
