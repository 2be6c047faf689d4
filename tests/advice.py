"""Which advice in messages is followed by a test: raise the error, do what it says, see that it helps."""


def followed(fragment: str, _file: str = "") -> str:
    """The fragment itself, for an assertion on the message; tests/architecture counts its text as followed.

    It must be part of one text of the code, as the code writes it, without what is filled in there. Where several files
    say the same, the second argument says whose text it is.
    """
    return fragment
