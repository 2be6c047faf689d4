"""The pictures of README and docs: a real platform, a real canary of flights under traffic, a real browser.

    make pictures          (python -m tests.e2e.page_pictures docs/images)

Three minutes: the platform is one of its own, on ports of its own, and is gone afterwards. With `--here` the pictures
are of the platform that SEATRIAL_HOME names, as it is.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.replay import Background, batches
from tasks.spec_file import load_product
from tests.chromium import Page, chromium
from tests.e2e.conftest import Seatrial, seatrial_in, until
from tests.page_browser import PHONE, picture, show

ROOT = Path(__file__).parents[2]
MOST_BYTES = 150_000
DATA = ROOT / "data" / "flights.parquet"
# A canary that is slow enough to be seen, and asks a person on its way.
STEPS = "canary:\n    wait: 20s\n    steps: [10, {weight: 25, approve: true}, 50]"
OF_FLIGHTS = "/seatrial/products/flights"
# Name, path, width, dark, height.
PICTURES = (
    ("page-overview", "/seatrial/", 1280, False, 520),
    ("page-product", OF_FLIGHTS, 1280, False, 1750),
    ("page-product-dark", OF_FLIGHTS, 1280, True, 1750),
    ("page-approve", f"{OF_FLIGHTS}/orders/approve", 1280, False, 620),
    ("page-phone", OF_FLIGHTS, PHONE, True, 1500),
)


def take(page: Page, base: str, folder: Path) -> None:
    """Every picture, of the platform behind `base`, where somebody is logged in."""
    for name, path, width, dark, height in PICTURES:
        show(page, f"{base}{path}", width=width, dark=dark)
        if "/orders/" not in path:
            page.until("document.getElementById('link').dataset.state === 'live'")
        size = picture(page, folder / f"{name}.png", height)
        sys.stdout.write(f"{folder / name}.png: {size / 1000:.0f} kB\n")
        assert size < MOST_BYTES, f"{name}.png has {size} bytes: {MOST_BYTES} are enough"


def logged_in(page: Page, address: str) -> str:
    """Opens what `seatrial open --print` says; returns where that is, without a path."""
    page.go(address)
    page.until("location.pathname === '/seatrial/' && document.readyState === 'complete'")
    return address.partition("/seatrial")[0]


@contextmanager
def canary(seatrial: Seatrial) -> Iterator[None]:
    """Three products, and a canary of flights under traffic that has come to its question."""
    for name in ("flights", "bikeshare"):
        for kind in ("yaml", "suite.json"):
            shutil.copy(ROOT / "specs" / f"{name}.{kind}", seatrial.project / "specs")
    (seatrial.project / "data").symlink_to(ROOT / "data")
    spec = seatrial.project / "specs" / "flights.yaml"
    text = spec.read_text(encoding="utf-8")
    text = text.replace("canary: {steps: [5, 10, 25, 50], wait: 4s}", STEPS).replace("active: false", "active: true")
    assert STEPS in text
    spec.write_text(text, encoding="utf-8")
    returns = text.replace("product: flights", "product: returns").replace("Will a flight", "Will the flight back")
    (seatrial.project / "specs" / "returns.yaml").write_text(returns, encoding="utf-8")
    for asked in (("up",), ("release", "flights"), ("release", "bikeshare")):
        told = seatrial.run(*asked)
        assert told.returncode == 0, told.stderr
    gateway = seatrial.told("status")["platform"]["gateway"]
    asked_for = batches(load_product(spec), DATA, "2013-04-01", "2013-05-01")
    with Background(f"{gateway}/flights/invocations", asked_for):
        release = seatrial.start("release", "flights", "--window", "2013-02-01..2013-04-01", "--strategy", "canary")
        assert until(lambda: any(each["phase"] == "waiting" for each in seatrial.told("status")["rollouts"]), 300)
        yield
        seatrial.run("abort", "flights", "--reason", "the pictures are taken")
        release.communicate(timeout=120)


def main(arguments: list[str]) -> int:
    """The exit code."""
    folder = ROOT / arguments[0]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as place, chromium(Path(place) / "b", {}) as browser:
        page = browser.new_page()
        if "--here" in arguments:
            command = [sys.executable, "-m", "flows.entrypoints.cli.main", "open", "--print"]
            address = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            take(page, logged_in(page, address), folder)
            return 0
        seatrial = seatrial_in(Path(place))
        try:
            with canary(seatrial):
                take(page, logged_in(page, seatrial.run("open", "--print").stdout.strip()), folder)
        finally:
            seatrial.run("down")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
