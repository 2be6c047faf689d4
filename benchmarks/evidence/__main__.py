"""False rollbacks, wrong promotions and time to detection.

python -m benchmarks.evidence [--runs N] [--users N] [--only requests|users|healthy|harmful] [--piece K/N]
"""

import argparse
import time

from rich.console import Console

from benchmarks.evidence import requests, users


def main(runs: int, user_runs: int, only: str | None, piece: users.Piece) -> None:
    """Measure and print the tables, each as soon as it is there."""
    console = Console(width=150)
    began = time.perf_counter()
    if only in (None, "requests"):
        for table in requests.tables(runs):
            console.print(table)
        milliseconds = requests.milliseconds_of_a_day()
        console.print(f"One judgement of a day of traffic (8,640 blocks, default metrics): {milliseconds:.0f} ms")
    if only != "requests":
        for table in users.tables(user_runs, only, piece, lambda row: console.print(row, style="dim")):
            console.print(table)
    console.print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the judgement of a candidate is worth.")
    parser.add_argument("--runs", type=int, default=2000, help="simulated healthy rollouts by requests")
    parser.add_argument("--users", type=int, default=100, help="simulated rollouts for each scenario of users")
    parser.add_argument("--only", choices=("requests", "users", "healthy", "harmful"), help="one part alone")
    parser.add_argument("--piece", default="1/1", help="2/5: every fifth scenario of users, from the second one on")
    arguments = parser.parse_args()
    number, of = map(int, arguments.piece.split("/"))
    main(arguments.runs, arguments.users, arguments.only, (number, of))
