// Shows a tooltip for the flag under the pointer or the keyboard focus.

const tip = find("#tip");
const showTip = (place, text) => {
  const at = place.getBoundingClientRect();
  tip.textContent = text;
  tip.hidden = false;
  const left = Math.min(at.right + 10, document.documentElement.clientWidth - tip.offsetWidth - 8);
  const above = at.top - tip.offsetHeight - 10;
  tip.style.left = `${Math.max(8, left) + window.scrollX}px`;
  tip.style.top = `${(above < 8 ? at.bottom + 10 : above) + window.scrollY}px`;
};
const flagAt = ({ target }) => target.closest?.("button.flag");
const showFlag = (event) => {
  const flag = flagAt(event);
  if (flag) showTip(flag, flag.getAttribute("aria-label"));
};
const hideFlag = (event) => { if (flagAt(event)) tip.hidden = true; };
for (const event of ["pointerover", "focusin", "click"]) document.addEventListener(event, showFlag);
for (const event of ["pointerout", "focusout"]) document.addEventListener(event, hideFlag);
document.addEventListener("keydown", ({ key: pressed }) => { if (pressed === "Escape") tip.hidden = true; });
