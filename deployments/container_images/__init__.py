"""Container images with a model baked in, made by whatever builder this machine has.

Belongs here: the build context, and speaking to buildah or Docker. Does not belong here: the image that everything else
runs in (the Dockerfile at the top), where models come from (registry), what runs an image (targets).
"""

from deployments.container_images.build_context import write_context
from deployments.container_images.builders import Builder, find_builder

__all__ = ["Builder", "find_builder", "write_context"]
