"""The control service: what users and other programs tell Seatrial over HTTP; what it starts, Prefect runs."""
