// What flags say.

const FLAGS = {
  unhashed: "the number depends on content that its identity does not include, such as weights at an address or a judge behind an endpoint",
  "source=target": "the images were crafted on the model itself: a white-box attack that does not stop early",
  incomplete: "a cell failed or has not run; a mean is blank unless every dataset has a number",
  skipped: "an attack is not defined for a dataset",
};
const ownProperty = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined); // ignores inherited names such as `constructor`
const meaning = (flag) => ownProperty(FLAGS, flag) ?? ownProperty(data.meanings, flag.split("=")[1]) ?? "";
