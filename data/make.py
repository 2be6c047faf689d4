"""Makes the two data sets of this folder from their raw files; data/README.md says where those come from.

    python data/make.py flights <.../flights.csv.zip> <.../weather.csv> data/flights.parquet
    python data/make.py bikeshare <.../Bikeshare.csv> data/bikeshare.csv

The same raw files give the same rows, whoever runs it.
"""

import argparse
from pathlib import Path

import pandas as pd

LATE_MINUTES = 15
WEATHER = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"]
FLIGHTS = ["scheduled_at", "carrier", "flight", "origin", "dest", "distance", "hour", "weekday", *WEATHER, "late"]
CALENDAR = ["season", "mnth", "hr", "holiday", "weekday", "workingday"]
BIKESHARE = ["at", *CALENDAR, "weathersit", "temp", "atemp", "hum", "windspeed", "bikers"]


def flights(raw_flights: Path, raw_weather: Path) -> pd.DataFrame:
    """Flights whose arrival is known, each with what was known of it and of the weather before it left."""
    frame = pd.read_csv(raw_flights)
    frame = frame[frame["arr_delay"].notna()]
    local_day = pd.to_datetime(frame[["year", "month", "day"]])
    frame["scheduled_at"] = pd.to_datetime(frame["time_hour"], utc=True) + pd.to_timedelta(frame["minute"], unit="min")
    frame["weekday"] = local_day.dt.day_of_week.astype("int64")
    frame["late"] = (frame["arr_delay"] > LATE_MINUTES).astype("int64")
    frame["observed_at"] = pd.to_datetime(frame["time_hour"], utc=True) - pd.Timedelta(hours=1)
    joined = frame.merge(_weather(raw_weather), on=["origin", "observed_at"], how="left", validate="many_to_one")
    return joined.sort_values(["scheduled_at", "carrier", "flight"])[FLIGHTS].reset_index(drop=True)


def bikeshare(raw: Path) -> pd.DataFrame:
    """Hours of 2011 with a real time column, without the two counts that add up to the target."""
    frame = pd.read_csv(raw)
    frame["at"] = pd.Timestamp("2011-01-01") + pd.to_timedelta((frame["day"] - 1) * 24 + frame["hr"], unit="h")
    return frame.sort_values("at")[BIKESHARE]


def _weather(raw: Path) -> pd.DataFrame:
    frame = pd.read_csv(raw)
    frame["observed_at"] = pd.to_datetime(frame["time_hour"], utc=True)
    return frame[["origin", "observed_at", *WEATHER]]


def _write_flights(arguments: argparse.Namespace) -> None:
    frame = flights(arguments.flights, arguments.weather)
    frame["scheduled_at"] = frame["scheduled_at"].dt.as_unit("us")
    frame.to_parquet(arguments.out, compression="zstd", compression_level=19, index=False)


def _write_bikeshare(arguments: argparse.Namespace) -> None:
    bikeshare(arguments.raw).to_csv(arguments.out, index=False, date_format="%Y-%m-%d %H:%M:%S")


def main() -> None:
    """Reads the command line and writes one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    products = parser.add_subparsers(required=True)
    for_flights = products.add_parser("flights")
    for_flights.set_defaults(write=_write_flights)
    for name in ("flights", "weather", "out"):
        for_flights.add_argument(name, type=Path)
    for_bikeshare = products.add_parser("bikeshare")
    for_bikeshare.set_defaults(write=_write_bikeshare)
    for name in ("raw", "out"):
        for_bikeshare.add_argument(name, type=Path)
    arguments = parser.parse_args()
    arguments.write(arguments)


if __name__ == "__main__":
    main()
