"""Seatrial at work on real data: what `make demo` runs."""
