// A dialog with the protocol of a row, from the manifest.

const pairs = (list) => html("dl", {}, list.map(([word, text]) => [html("dt", {}, word), html("dd", {}, text)]));
const link = ([text, address]) => html("a", { href: address, rel: "noreferrer" }, text);
const dialog = find("#details");
const answer = (given) => html("td", { class: "text" }, given ? [html("q", {}, name(given[0])), ` ${formatted(given[1])}${unit}`] : "–");
const answers = (list) => !list?.length ? [] : [
  html("h3", {}, "Example answers"),
  html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Example answers" },
    html("table", { class: "said" },
      html("thead", {}, html("tr", {}, ["dataset", "sample", "without an attack", "attacked"].map((head) =>
        html("th", { scope: "col", class: "text" }, head)))),
      html("tbody", {}, list.map(({ dataset, sample, column, clean, attacked }) =>
        html("tr", {}, [dataset, sample].map((text) => html("td", { class: "text" }, name(text))),
          answer(clean), answer(attacked)))))),
  html("p", { class: "note" }, `Images drawn by the suite's seed; under ${[...new Set(list.map(({ column }) => column))].join(", ") || "no attack"}; each answer is followed by its score. All answers: `, link(["answers.csv", "answers.csv"]))];

// The findings of the trust battery on a model: failures and warnings first, then the rest, collapsed.
const verdicts = (list) => html("dl", { class: "verdicts" }, list.map(([verdict, check, evidence]) =>
  [html("dt", {}, html("b", { class: verdict }, verdict), ` ${check}`), html("dd", {}, evidence)]));
const countByVerdict = (list) => ["remark", "pass", "skip"].map((kind) => [list.filter(([verdict]) => verdict === kind).length, kind])
  .filter(([count]) => count).map((pair) => pair.join(" ")).join(", ");
const findingsOf = (title, { of, left, found }) => {
  const bad = found.filter(([verdict]) => verdict === "fail" || verdict === "warn");
  const rest = found.filter((finding) => !bad.includes(finding));
  return [html("h4", {}, name(title)),
    html("p", { class: "note" }, `${of}${left ? `; ${left} checks not done` : ""}`),
    bad.length ? verdicts(bad) : null,
    rest.length ? html("details", {}, html("summary", {}, countByVerdict(rest)), verdicts(rest)) : null];
};
const allFindings = (model) => {
  const known = findingsOnDatasets(model);
  const missing = data.datasets.filter((dataset) => !ownProperty(known, dataset));
  return [html("h3", {}, "Trust checks of the robust numbers"),
    ...data.datasets.filter((dataset) => ownProperty(known, dataset)).map((dataset) => findingsOf(dataset, known[dataset])),
    missing.length ? html("p", { class: "note" }, "not examined: ", missing.map((dataset, place) => [place ? ", " : "", name(dataset)])) : null];
};

const openDetails = (row) => {
  const { place, model, threat } = row;
  const { models, datasets, attacks, ran_on } = data.details;
  const named = data.models[model];
  const { kind, source } = data.threats[threat];
  const { flags } = boards.get("")[place];
  const links = ownProperty(data.links, named);
  const told = html("div");
  const tell = () => told.replaceChildren(...[...answers(answersOf(row)), ...(kind ? allFindings(model) : [])].flat(Infinity).filter(Boolean));
  const part = (title, list, tag = "h4") => list?.length ? [html(tag, {}, name(title)), pairs(list)] : [];
  dialog.replaceChildren(
    html("div", { class: "head" },
      html("h2", { id: "details-title" }, name(named), " ", badge(threat)),
      html("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close")),
    ...flags.map((flag) => html("p", {}, html("span", { class: "flag" }, flag), ` ${meaning(flag)}`)),
    told,
    ...part("Model", ownProperty(models, named), "h3"),
    links?.length ? html("p", { class: "note" }, links.map((each) => [link(each), " "])) : "",
    ...(kind === "transfer" ? part(`Source of the images: ${source}`, ownProperty(models, source), "h3") : []),
    ...(kind ? part("Attacks", attacks, "h3") : []),
    html("h3", {}, "Datasets"), ...Object.entries(datasets).flatMap(([title, list]) => part(title, list)),
    ...part("Ran on", ownProperty(ran_on, named), "h3"),
    html("p", { class: "note" }, link(["manifest.json", "manifest.json"]), " has an entry per cell."));
  if (isThere(model)) tell();
  else drawSoon(awaitPart(told, partOfModel(model), "example answers and trust checks", tell));
  dialog.showModal();
};
find("#board").addEventListener("click", ({ target }) => {
  if (target.closest(".more")) openDetails(drawn.get(target.closest(".row")));
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
