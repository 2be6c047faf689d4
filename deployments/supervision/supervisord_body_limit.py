"""supervisord, with a bound on what one request may hold: it keeps whatever comes, and has no setting for that.

Run as a file, `python -P …/supervisord_body_limit.py supervisor.supervisord -c …`: whatever starts it need not know our
packages, and what looks for a supervisord finds it by that word. So this imports nothing of ours.
"""

import sys

from supervisor import http, supervisord, web

# Calls of ours have a few hundred bytes. Beyond this the connection ends.
LARGEST_BYTES = 64 * 1024


class BoundedChannel(http.deferring_http_channel):  # type: ignore[misc]
    """A connection that ends when a head or a body is too large."""

    _came = 0

    def collect_incoming_data(self, data: bytes) -> None:
        """A piece of what is not complete yet."""
        self._came += len(data)
        if self._came > LARGEST_BYTES:
            self.ac_in_buffer = b""
            self.close()
        else:
            super().collect_incoming_data(data)

    def found_terminator(self) -> None:
        """A head, or a body, is complete."""
        self._came = 0
        super().found_terminator()
        # The head said that the body has no bytes, or fewer: the library would wait for its end until the client goes.
        if isinstance(length := self.get_terminator(), int) and length <= 0:
            super().found_terminator()


def main() -> None:
    """Becomes the supervisord that the further arguments ask for."""
    http.supervisor_af_unix_http_server.channel_class = BoundedChannel
    # Its pages, which nobody opens: they never answer `/;x=y`, and hold the connection.
    web.supervisor_ui_handler.match = lambda *_: False
    sys.argv = ["supervisord", *sys.argv[2:]]
    supervisord.main()


if __name__ == "__main__":
    main()
