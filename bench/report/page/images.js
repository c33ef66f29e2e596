// An image at the size of the window; arrow keys switch images in place, which makes differences visible.

const large = find("#large");
const picture = find("#picture");
let shots = [];
let current = 0;

const showImage = (place) => {
  current = (place + shots.length) % shots.length;
  const shown = find("img", shots[current]);
  picture.src = shown.src;
  picture.alt = shown.alt;
  [...find("#kinds").children].forEach((kind, index) => kind.setAttribute("aria-pressed", String(index === current)));
};
const open = (shot) => {
  const card = shot.closest(".card");
  shots = all(".shot", card);
  find("#large-title").replaceChildren(name(find(".truth", card).textContent));
  find("#kinds").replaceChildren(...shots.map(({ dataset }, place) =>
    html("button", { type: "button", class: "quiet", onclick: () => showImage(place) }, dataset.kind)));
  showImage(shots.indexOf(shot));
  large.showModal();
  find("#kinds").children[current].focus();
};
for (const shot of all(".shot")) shot.addEventListener("click", () => open(shot));
large.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  showImage(current + by);
  find("#kinds").children[current].focus();
});
picture.addEventListener("click", () => showImage(current + 1));
large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
find("#close").addEventListener("click", () => large.close());
