"""Who may say what a product's answers were worth."""

from pydantic import Field

from deployments.spec.base_section import Section


class FeedbackSection(Section):
    """Who may say what a product's answers were worth. Read by the control service, from the newest rollout."""

    key_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$",
        description="NAME of an environment variable of the control service with the key that senders have to give, "
        "never the key itself",
    )
