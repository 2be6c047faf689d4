"""The page in a real Chromium: logging in, checking it with axe-core, taking pictures."""

import base64
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

from tests.chromium import Page

PHONE, DESK = 390, 1280
# Where every text stands still: what moves differs from picture to picture.
_SETTLED = "document.readyState === 'complete' && document.fonts.status === 'loaded'"


def axe() -> Path | None:
    """axe-core's script, as its package brings it; None where that is not installed."""
    found = importlib.util.find_spec("axe_core_python")
    return None if found is None or found.origin is None else Path(found.origin).with_name("axe.min.js")


def show(page: Page, address: str, *, width: int = DESK, dark: bool = False) -> None:
    """The page at an address, in a window of this width and in these colours, with motion off."""
    page.ask(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width <= PHONE},
    )
    colours = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.ask(
        "Emulation.setEmulatedMedia", {"features": [colours, {"name": "prefers-reduced-motion", "value": "reduce"}]}
    )
    page.go(address)
    page.until(_SETTLED)


def violations(page: Page) -> list[Any]:
    """What axe-core finds wrong with what is shown: rule, impact, and the elements."""
    script = axe()
    assert script is not None, "axe-core-python is not installed"
    page.run(script.read_text(encoding="utf-8"))
    found: list[Any] = page.run(
        "axe.run().then(told => told.violations.map(each => "
        "[each.id, each.impact, each.nodes.map(node => node.html.slice(0, 200))]))"
    )
    return found


def picture(page: Page, place: Path, height: int | None = None) -> int:
    """A PNG of what is shown, cut at `height` unless that is None; returns its size in bytes."""
    time.sleep(0.5)
    size = page.ask("Page.getLayoutMetrics")["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(height or size["height"], size["height"]), "scale": 1}
    told = page.ask("Page.captureScreenshot", {"format": "png", "clip": clip, "captureBeyondViewport": True})
    place.write_bytes(smaller(base64.b64decode(told["data"])))
    return place.stat().st_size


def smaller(png: bytes) -> bytes:
    """The same picture with a palette of 256 colours, which is all that a page has."""
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def element(selector: str) -> str:
    """A script for the first element that fits."""
    return f"document.querySelector({json.dumps(selector)})"
