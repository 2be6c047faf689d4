"""Tables and links that a run leaves in the Prefect pages."""

from collections.abc import Sequence


def leave_table(key: str, rows: Sequence[dict[str, str]], description: str) -> None:
    """A table under `key` (lower-case letters, digits, dashes); a newer run's table becomes its next version."""
    from prefect.artifacts import create_table_artifact

    create_table_artifact(table=list(rows), key=key, description=description)


def leave_link(key: str, link: str, text: str, description: str) -> None:
    """A link under `key`."""
    from prefect.artifacts import create_link_artifact

    create_link_artifact(link=link, link_text=text, key=key, description=description)


def leave_markdown(key: str, text: str, description: str) -> None:
    """A page of Markdown under `key`."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(markdown=text, key=key, description=description)
