"""Stand-ins for what Seatrial talks to and a test cannot have; each keeps the promises that the real one documents."""
