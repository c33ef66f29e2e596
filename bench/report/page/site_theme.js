// The pages of a site share the theme that a reader chose; where nothing may be stored, each page has its own.

const shared = (use) => { try { return use(localStorage); } catch { return null; } };
const chosenTheme = shared((storage) => storage.getItem("theme"));
if (chosenTheme) document.documentElement.dataset.theme = chosenTheme;
theme.addEventListener("click", () => shared((storage) => storage.setItem("theme", document.documentElement.dataset.theme)));
showTheme();
