"""How often the check for leakage refuses a harmless table, and how often it catches a leak, by the number of rows.

    python -m benchmarks.leakage [--tables 1000]

Each table is drawn anew and has one feature. The check is that of every release
(tasks/data_validation/target_leakage.py), asked whether the feature gives the target away *entirely*, which refuses the
table. The exit code is 1 if a harmless kind is refused more often than its case allows, or a leak is missed in a table
that has rows enough to be sure. Some minutes on one core; nothing is written.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from tasks.data_validation.target_leakage import leaks

SIZES: Final = (50, 100, 300, 1_000, 10_000)
Array = np.ndarray[Any, Any]
Drawn = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of feature and target, by `draw(random, rows)`.

    A leak is to be caught from `rows` rows on; of harmless tables the share `allowed` may be refused.
    """

    name: str
    draw: Callable[[np.random.Generator, int], Drawn]
    rows: int | None = None
    allowed: float = 0.001

    def is_as_wanted(self, rows: int, refused: int, tables: int) -> bool:
        """Whether so many refusals are right, but for three standard errors."""
        if self.rows is not None:
            return rows < self.rows or refused == tables
        expected = tables * self.allowed
        return refused <= expected + 3 * math.sqrt(expected)


def _near(share: float) -> Callable[[np.random.Generator, int], Drawn]:
    """A feature of which the target explains `share` of the variance."""

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        target = random.gamma(2, 50, rows)
        noise = random.normal(0, target.std() * (1 / share - 1) ** 0.5, rows)
        return (target + noise).round(2), target.round(2)

    return draw


def _flipped(share: float, values: int = 2) -> Callable[[np.random.Generator, int], Drawn]:
    """A category that tells the class in all rows but for `share` of them."""

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        told = random.integers(0, values, rows)
        target = (told % 2) ^ (random.random(rows) < share)
        return np.array([f"k{each}" for each in told]), target

    return draw


def _blurred(share: float) -> Callable[[np.random.Generator, int], Drawn]:
    """A number with a threshold that parts the classes in all rows but for `share` of them."""

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        value = random.normal(0, 1, rows).round(3)
        return value, (value > 0.5) ^ (random.random(rows) < share)

    return draw


def _rare(random: np.random.Generator, rows: int) -> Drawn:
    return random.choice(list("abcdefgh"), rows), random.random(rows) < 0.005


def _groups(random: np.random.Generator, rows: int) -> Drawn:
    which = random.integers(0, 3, rows)
    return (random.normal(0, 0.3, rows) + which * 4).round(2), np.array(["setosa", "other", "third"])[which]


def _steps(random: np.random.Generator, rows: int) -> Drawn:
    """A tariff: the target follows from the feature in coarse steps, and 2 % of the rows are exceptions."""
    weight = random.uniform(0, 30, rows).round(1)
    price = np.ceil(weight / 5) * 4.5
    return weight, np.where(random.random(rows) < 0.02, price + 1, price)


def _with_tax(random: np.random.Generator, rows: int) -> Drawn:
    target = random.gamma(2, 50, rows).round(2)
    return (1.19 * target).round(2), target


def _tax_as_text(random: np.random.Generator, rows: int) -> Drawn:
    values, target = _with_tax(random, rows)
    return np.array([f"{each:.2f}" for each in values]), target


def _logarithm(random: np.random.Generator, rows: int) -> Drawn:
    target = random.gamma(2, 50, rows)
    return np.log(target), target


def _other_names(random: np.random.Generator, rows: int) -> Drawn:
    which = random.integers(0, 3, rows)
    return np.array(["K", "B", "X"])[which], np.array(["kept", "broken", "lost"])[which]


def _known_after(random: np.random.Generator, rows: int) -> Drawn:
    """A reason that stands there in just the rows of one class."""
    cancelled = random.random(rows) < 0.3
    reasons = random.choice([f"reason {number}" for number in range(200)], rows)
    return pd.Series(reasons).where(cancelled), cancelled.astype(int)


HARMLESS: Final = (
    Case("noise and a number", lambda random, rows: (random.normal(size=rows), random.normal(size=rows))),
    Case("noise and a class", lambda random, rows: (random.integers(0, 5, rows), random.integers(0, 2, rows))),
    Case("8 categories and a class of 0.5 %", _rare),
    Case("99 % of a number explained", _near(0.99)),
    Case("99.9 % of a number explained", _near(0.999)),
    Case("tariff of 6 steps, 2 % exceptions", _steps),
    Case("3 natural groups with a gap", _groups),
    Case("category right in 90 % of the rows", _flipped(0.1)),
    Case("category right in 98 % of the rows", _flipped(0.02), allowed=0.003),
    Case("category right in 99 % of the rows", _flipped(0.01), allowed=0.05),
    Case("threshold right in 99 % of the rows", _blurred(0.01), allowed=0.05),
)
LEAKS: Final = (
    Case("1.19 × target, to the cent", _with_tax, rows=50),
    Case("1.19 × target, as text", _tax_as_text, rows=50),
    Case("logarithm of the target", _logarithm, rows=100),
    Case("the classes by other names", _other_names, rows=300),
    Case("a category that settles the class", _flipped(0.0, 20), rows=300),
    Case("a threshold that settles the class", _blurred(0.0), rows=1_000),
    Case("there only in rows of one class", _known_after, rows=300),
)


def refusals(case: Case, rows: int, tables: int) -> int:
    """How many of so many tables are refused; the same ones each time."""
    refused = 0
    for seed in range(tables):
        feature, target = case.draw(np.random.default_rng([seed, rows]), rows)
        found = leaks(pd.DataFrame({"feature": feature, "target": target}), ["feature"], "target")
        refused += any(leak.entirely for leak in found)
    return refused


def main(tables: int) -> int:
    """Measure all cases and print them; the exit code."""
    console, wrong = Console(width=140), 0
    for title, cases in (("harmless, refused", HARMLESS), ("leak, caught", LEAKS)):
        table = Table(title=f"{title}: of {tables:,} tables each", title_justify="left")
        table.add_column("feature")
        for rows in SIZES:
            table.add_column(f"{rows:,} rows", justify="right")
        for case in cases:
            cells = []
            for rows in SIZES:
                refused = refusals(case, rows, tables)
                right = case.is_as_wanted(rows, refused, tables)
                wrong += not right
                cells.append(f"{100 * refused / tables:.3g} %" if right else f"[red]{100 * refused / tables:.3g} %")
            table.add_row(case.name, *cells)
        console.print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="False refusals and power of the check for leakage.")
    parser.add_argument("--tables", type=int, default=1_000, help="of each kind and size")
    raise SystemExit(main(parser.parse_args().tables))
