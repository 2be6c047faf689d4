"""What `repair` does and says."""

from typing import Any

from deployments import wiring
from deployments.errors import NotFound
from flows.entrypoints import console
from tasks.models.manual_approval import vouch
from tasks.rollout_engine.registry_sync import repair


def repair_report(product: str, vouch_for: int | None = None, spec: str = "") -> dict[str, Any]:
    """What was changed and what is left; with the version `vouch_for` sealed first, on the caller's word.

    `spec` is the name or path of the spec that says which types such a version may hold.

    Raises `NotFound` for a product that was never rolled out, and `BadArtifact` for a version that cannot be sealed.
    """
    if not wiring.journal().events(product):
        raise NotFound(f"nothing is known of {product!r}: check the name with `seatrial status`")
    vouched = [vouch(product, vouch_for, spec or product)] if vouch_for is not None else []
    done = repair(product, wiring.read_only_doors(product))
    changed = [*vouched, *done.changed]
    return {"product": product, "serving": done.serving, "changed": changed, "left": list(done.left)}


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
