"""The control service: what users tell Seatrial over HTTP. It starts nothing and decides nothing."""
