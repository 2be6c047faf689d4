"""What Seatrial costs, side by side with what a user would do instead, as ratios in one run."""
