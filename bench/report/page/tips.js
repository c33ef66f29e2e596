// Shows a tooltip for the item under the pointer or the keyboard focus, and dims the other items.

const tip = find("#tip");
const show = (item) => {
  const at = find(".at", item).getBoundingClientRect();
  tip.textContent = item.getAttribute("aria-label").replaceAll("; ", "\n");
  tip.hidden = false;
  const left = Math.min(at.right + 10, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(8, left) + window.scrollX}px`;
  tip.style.top = `${Math.max(8, at.top - tip.offsetHeight - 10) + window.scrollY}px`;
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
