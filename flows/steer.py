"""Tells a rollout under way what to do; on Prefect's pages "Run" draws a form for it."""

from prefect import flow

from flows.parameters import SteerRequest, steer_name
from tasks.final_states import named_end
from tasks.operator_commands import give_order


@flow(name="steer", flow_run_name=steer_name)
@named_end
def steer(request: SteerRequest) -> str:
    """Promote, skip, approve, pause, resume or abort; returns what became of it.

    Raises `NotFound` when no rollout of the product is under way, `BadInput` when the order cannot mean anything now.
    """
    return give_order(request.product, request.verb, request.reason)
