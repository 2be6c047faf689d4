"""The login before Prefect's and MLflow's pages and their APIs: who is let in, by which address, from which page.

Belongs here: the password and who shows it, tickets that log a browser in, the ASGI middleware that asks. Does not
belong here: Prefect's and MLflow's applications, which others put behind the login.
"""
