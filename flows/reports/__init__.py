"""What there is to say of products and their rollouts, as JSON: read by the command line, the API and the page.

Belongs here: documents put together from journal, gateway and Prefect. Does not belong here: printing, HTTP, HTML. But
for `evidence`, no module here loads more than the control service may carry (no numpy, Prefect or MLflow).
"""
