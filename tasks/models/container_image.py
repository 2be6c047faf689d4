"""A registered version as a container image that holds its model, and the record of which image that is."""

import tempfile
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployments import wiring
from deployments.clock import SystemClock
from deployments.container_images import find_builder, write_context
from deployments.journals.protocol import Event
from deployments.settings import current


@dataclass(frozen=True, slots=True)
class BakedImage:
    """An image with a model in it. `digest` is the registry's if the image was pushed, else that of the image here."""

    product: str
    version: int
    image: str
    digest: str
    pushed: bool

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)

    def sentence(self) -> str:
        """What there is now, in one line."""
        where = "in the registry as " if self.pushed else "here as "
        return f"{self.product} v{self.version} is {where}{self.image}@{self.digest}"


def bake(product: str, version: int, tag: str, base: str, push: bool) -> BakedImage:
    """Builds the image `tag` over `base` with a version's model in it, and writes down its digest.

    The model is proved against its manifest first. The journal gets an event, and the version in the registry a tag.
    """
    builder, registry = find_builder(), wiring.registry()
    model = registry.fetch(product, version, current().models)
    with tempfile.TemporaryDirectory(prefix="seatrial-image-") as scratch:
        context, beside = Path(scratch) / "context", Path(scratch) / "beside"
        context.mkdir()
        beside.mkdir()
        write_context(context, model)
        digest = builder.build(context, tag, base)
        if push:
            digest = builder.push(tag, beside)
    baked = BakedImage(product, version, tag, digest, push)
    registry.set_image(product, version, f"{tag}@{digest}")
    facts = {"version": version, "image": tag, "digest": digest, "base": base, "pushed": push}
    wiring.journal().record(Event(product, str(uuid.uuid4()), SystemClock().now(), "image.built", facts))
    return baked
