// What flags say. A flag is a button: `flag_tips.js` shows its meaning on hover, focus and touch.

const FLAGS = {
  unhashed: "the number depends on content that its identity does not include, such as weights at an address or a judge behind an endpoint",
  "source=target": "the images were crafted on the model itself: a white-box attack that does not stop early",
  incomplete: "a cell failed or has not run; a mean is blank unless every dataset has a number",
  skipped: "an attack is not defined for a dataset",
  "preprocessing=verified": "no test of this project knows the model's family; its image processor was compared with the attack's",
  nested: "images that a smaller radius broke count as broken",
  "by-order": "images made by others, without ids, were matched by their order",
  missing: "images that the files of others do not have; the clean image is scored instead",
  "beyond-eps": "images beyond the radius",
  without: "a member of the attack that is not defined for the dataset or the model was left out",
  targets: "the dataset has fewer classes than the attack usually has targets",
  anytime: "the cell stopped when its number was precise enough; its interval holds for that",
  reached: "share of images on which the model said the attack's target",
  eot: "the attack averages gradients over as many passes of the random model",
  precision: "images were scored at this precision",
  randomized: "AutoAttack's warning: the model is random",
  probabilities: "AutoAttack's warning: the model returns probabilities",
  "zero-gradients": "AutoAttack's warning: gradients are zero",
  dynamic: "AutoAttack's warning: the model changes while it is attacked",
  "square-better": "AutoAttack's warning: Square breaks images that gradients do not",
  untrusted: "a trust check failed",
  doubt: "a trust check warns",
  data: "how the dataset's files were read",
};
const ownProperty = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined); // ignores inherited names such as `constructor`
const meaning = (flag) => {
  const [kind, value] = flag.split("=");
  const told = ["untrusted", "doubt", "data"].includes(kind) ? ownProperty(data.meanings, value) : undefined;
  return ownProperty(FLAGS, flag) ?? [ownProperty(FLAGS, kind), told].filter(Boolean).join(". ");
};
const flagOf = (flag) => html("button", { type: "button", class: "flag", "aria-label": [flag, meaning(flag)].filter(Boolean).join(": ") }, flag);
