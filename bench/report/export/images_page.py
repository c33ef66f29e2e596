"""The page for looking at images of a cell: one file that asks the network for nothing."""

import base64
import io
from pathlib import Path

from PIL import Image

from bench.core.types import Norm
from bench.report.export.assets import scripts, styles, template
from bench.report.export.leaderboard_values import threat_name
from bench.report.image_viewer.shown_images import Pixels, Shown, Verdict
from bench.results.attack_summary import settings
from bench.results.protocol_summary import judged_as
from bench.results.tables import Scored
from bench.stats import wilson
from bench.store.results_folder import Store, write_text
from bench.suite.load import Suite

_STYLES = ("base", "details", "images")
_SCRIPTS = ("dom", "theme", "images")
# by verdict, in the order of the page: what it is called, and what that means
_ATTACKED: dict[Verdict, tuple[str, str]] = {
    "broken": ("Broken", "Right without the attack, wrong under it."),
    "stands": ("Stands", "Right under the attack."),
    "wrong": ("Wrong already", "Wrong without the attack too: white-box, it may be left as it is."),
}
_CLEAN: dict[Verdict, tuple[str, str]] = {
    "wrong": ("Wrong", "Nothing was attacked."),
    "stands": ("Right", "Nothing was attacked."),
}


def write_images(suite: Suite, store: Store, shown: Shown) -> Path:
    """Write the page of some images of a cell, and return where it is."""
    path = store.path_of("images", shown.cell.id, "html")
    write_text(path, image_page(suite, shown))
    return path


def image_page(suite: Suite, shown: Shown) -> str:
    """Return the page: what was attacked and how, and each image with its predictions."""
    cell, correct = shown.cell, shown.result.correct
    threat, source = (cell.threat.kind, cell.threat.source or "") if cell.threat else ("", "")
    groups = [
        (verdict, title, about, members)
        for verdict, (title, about) in (_ATTACKED if cell.attack else _CLEAN).items()
        if (members := [image for image in shown.images if image.verdict == verdict])
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
        same_source=Scored(cell, shown.result).same_source,
        attack=cell.attack.label_in_norm if cell.attack else "",
        settings=settings(cell.attack) if cell.attack else {},
        judged=judged_as(suite.protocol.storage, cell.mode),
        value=float(correct.mean()),
        interval=wilson(int(correct.sum()), len(correct)),
        right=int(correct.sum()),
        n=len(correct),
        groups=groups,
        moved=sum(image.right != image.stored for image in shown.images),
        png=png,
        norm=norm,
    )


def png(pixels: Pixels) -> str:
    """Return an image as a data URI, each pixel as it is."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def norm(value: float, of: Norm) -> str:
    """Return the norm of a perturbation as budgets are written: Linf in steps of 8 bits."""
    return f"{255 * value:.2f}/255" if of == "linf" else f"{value:.3f}"
