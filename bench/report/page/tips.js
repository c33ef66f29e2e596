// Shows a tooltip for the flag or the figure's item under the pointer or the keyboard focus.

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
// Other items of the figure are dimmed.
const show = (item) => {
  showTip(find(".at", item), item.getAttribute("aria-label").replaceAll("; ", "\n"));
  item.classList.add("hot");
  item.ownerSVGElement.classList.add("dim");
};
const hide = (item) => {
  tip.hidden = true;
  item.classList.remove("hot");
  item.ownerSVGElement.classList.remove("dim");
};
// A figure is a single Tab stop; arrow keys go from item to item.
const interactive = (drawing, items) => {
  items.forEach((item, place) => {
    item.setAttribute("tabindex", place ? -1 : 0);
    item.addEventListener("pointerenter", () => show(item));
    item.addEventListener("pointerleave", () => hide(item));
    item.addEventListener("focus", () => show(item));
    item.addEventListener("blur", () => hide(item));
    item.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide(item);
      if (!by) return;
      event.preventDefault();
      const next = items[(place + by + items.length) % items.length];
      items.forEach((other) => other.setAttribute("tabindex", other === next ? 0 : -1));
      next.focus();
    });
  });
  return drawing;
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
