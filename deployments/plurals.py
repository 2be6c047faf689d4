"""A count with its noun, as people say it: `1 row`, `1,204 rows`, `0 rows`."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`count` with the right form of `noun`; `plural` for nouns that do not take an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
