"""`/seatrial/`: products, rollouts and orders, for people in a browser.

Belongs here: what is shown of the reports and how, live updates of it, forms of orders. Does not belong here: what is
told (flows/reports/), who may (`access`), what an order does (tasks/rollout_engine/). It works without a script: that
only brings what has changed into a page that is open.
"""

from flows.entrypoints.control_service.page.service import routes

__all__ = ["routes"]
