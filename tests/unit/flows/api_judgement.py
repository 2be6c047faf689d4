"""The OpenAPI description taken at its word, by Schemathesis: asked in this process, without a server."""

from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import load_all_checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from flows.entrypoints.control_service.api.operations import ROOT
from tests.unit.flows.access_scene import HOST
from tests.unit.flows.api_scene import ApiScene
from tests.unit.tasks.rollout_engine.world import PRODUCT


def judged(service: ApiScene, examples: int, seed: int) -> int:
    """Schemathesis's own checks over every operation, of a product that there is and of others; how many requests."""
    load_all_checks()
    headers = {"authorization": f"Bearer {service.machine_token}", "host": HOST}
    schema = schemathesis.openapi.from_asgi(f"{ROOT}/openapi.json", service.app, headers=headers)
    asked = 0

    def judge(operation: Any, mode: GenerationMode, named: Mapping[str, str] | None) -> None:
        @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @hypothesis_seed(seed)
        @given(operation.as_strategy(mode, path_parameters=named, headers=headers))
        def once(case: Any) -> None:
            nonlocal asked
            asked += 1
            response = case.call()
            # That a product is there, and that an order means something now, no schema can say.
            case.validate_response(response, excluded_checks=[positive_data_acceptance], headers=headers)

        # What takes nothing but the token cannot be asked in a wrong way.
        with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
            once()

    for found in schema.get_all_operations():
        operation = found.ok()
        known = {"product": PRODUCT, "rollout": "current"}
        parts = {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            for named in (None, parts) if parts else (None,):
                judge(operation, mode, named)
    return asked
