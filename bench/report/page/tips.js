// Shows a tooltip for a figure's item under the pointer or the keyboard focus.

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
