"""What `repair` does and says."""

from typing import Any

from deployments import wiring
from deployments.errors import NotFound
from flows.entrypoints import console
from tasks.rollouts.registry_sync import repair


def repair_report(product: str) -> dict[str, Any]:
    """What was changed and what is left. Raises `NotFound` for a product that was never rolled out."""
    if not wiring.journal().events(product):
        raise NotFound(f"nothing is known of {product!r}: check the name with `seatrial status`")
    done = repair(product, wiring.doors_as_they_are(product))
    return {"product": product, "serving": done.serving, "changed": list(done.changed), "left": list(done.left)}


def print_repair(report: dict[str, Any]) -> None:
    """For people: what differed and is mended, then what no edit can mend."""
    serving = f"v{report['serving']} serves" if report["serving"] else "nobody serves"
    if not report["changed"] and not report["left"]:
        console.say(f"{report['product']}: {serving}, and the registry says the same: nothing to repair")
        return
    for each in report["changed"]:
        console.say_done(f"mended: {each}")
    for each in report["left"]:
        console.warn(f"cannot be repaired: {each}")
    # What another version lost is made good by nothing, and keeps nobody from serving.
    if any(each.startswith(f"v{report['serving']} ") for each in report["left"]):
        console.say(
            f"{report['product']} {serving} on all the same, from its model folder here; "
            f"`seatrial release {report['product']}` registers a version that is whole"
        )
