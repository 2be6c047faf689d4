"""Who asks, and what he may: roles, tokens and sessions.

Belongs here: what a role permits, tokens and where they are kept, the signed sessions of browsers, the identities that
an OpenID provider vouches for. Does not belong here: HTTP (flows/entrypoints/control_service/), and the password before
Prefect's and MLflow's pages (deployments/web_login/).
"""
