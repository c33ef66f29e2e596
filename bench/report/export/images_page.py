"""The HTML page with images of a cell: one file that needs no network."""

import base64
import io
from pathlib import Path

from PIL import Image

from bench.core.types import Norm
from bench.report.export.assets import scripts, styles, template
from bench.report.export.leaderboard_values import threat_name
from bench.report.image_viewer.shown_images import ImageOutcome, RgbPixels, ShownCell
from bench.results.attack_summary import in_words
from bench.results.protocol_summary import judged_as
from bench.results.tables import Scored
from bench.store.results_folder import Store
from bench.store.writing import write_text
from bench.suite.load import Suite

_STYLES = ("base", "details", "images")
_SCRIPTS = ("dom", "theme", "images")
# title and explanation by outcome, in the order of the page
_ATTACKED: dict[ImageOutcome, tuple[str, str]] = {
    "broken": ("Broken", "Right without the attack, wrong under the attack."),
    "robust": ("Robust", "Right under the attack."),
    "wrong": (
        "Wrong without attack",
        "Wrong without the attack too. A white-box attack may leave these images unchanged.",
    ),
}
_CLEAN: dict[ImageOutcome, tuple[str, str]] = {
    "wrong": ("Wrong", "No attack in this cell."),
    "robust": ("Right", "No attack in this cell."),
}


def write_images(suite: Suite, store: Store, shown: ShownCell) -> Path:
    """Write the page of a cell's images, and return its path."""
    path = store.path_of("images", shown.cell.id, "html")
    write_text(path, image_page(suite, shown))
    return path


def image_page(suite: Suite, shown: ShownCell) -> str:
    """Return the page: the attack, and each image with its predictions."""
    cell, correct = shown.cell, shown.result.correct
    threat, source = (cell.threat.kind, cell.threat.source or "") if cell.threat else ("", "")
    scored = Scored(cell, shown.result)
    groups = [
        (outcome, title, about, members)
        for outcome, (title, about) in (_ATTACKED if cell.attack else _CLEAN).items()
        if (members := [image for image in shown.images if image.outcome == outcome])
    ]
    return template("images.html.j2").render(
        suite=suite,
        cell=cell,
        shown=shown,
        style=styles(_STYLES),
        script=scripts(_SCRIPTS),
        threat=threat_name(threat, source),
        threat_kind=threat,
        source=source,
        on_base=cell.attack is not None and cell.attack.on_base,
        same_source=cell.same_source,
        attack=cell.attack.label_in_norm if cell.attack else "",
        settings=in_words(cell.attack) if cell.attack else "",
        judged=judged_as(suite.protocol.storage, cell.mode, cell.attack),
        value=float(correct.mean()),
        interval=scored.interval,
        right=int(correct.sum()),
        n=len(correct),
        groups=groups,
        differing=sum(image.right != image.stored for image in shown.images),
        png=png,
        norm=norm,
    )


def png(pixels: RgbPixels) -> str:
    """Return an image as the data URI of a lossless PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def norm(value: float, of: Norm) -> str:
    """Return the norm of a perturbation as text, like a budget: Linf in units of 1/255."""
    return f"{255 * value:.2f}/255" if of == "linf" else f"{value:.3f}"
