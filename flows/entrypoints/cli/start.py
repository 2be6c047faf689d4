"""The console command `seatrial`: a shell that asks for completions is answered before anything else is imported."""

import os
import sys


def main() -> None:
    """Answer the shell, or run the command line."""
    if os.environ.get("_SEATRIAL_COMPLETE", "").startswith("complete_"):
        from flows.entrypoints.cli.completion import complete

        if (code := complete()) is not None:
            sys.exit(code)
    from flows.entrypoints.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
