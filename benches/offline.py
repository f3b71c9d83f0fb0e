"""`tidemill apply` against pandas and polars: the year's flights through four transforms, from Parquet to Parquet.

    python3 -m venv venv && venv/bin/pip install pandas pyarrow polars
    cargo build --release
    venv/bin/python benches/offline.py --data DIR [--rounds 7]

DIR holds flights.parquet, airports.parquet and weather.parquet of nycflights13 (336,776 flights of 2013). They are joined
once into target/offline/flights.parquet, a row a flight: what the transforms read. Then each contender reads the columns it
needs, computes the same features and writes them with zstd at level 1. Rounds alternate, and the best of each counts, for
neighbours on the machine only ever make it worse. One core means that the process is held to one by its affinity.

The seconds of pandas and polars are those of the work alone, without starting Python and importing; those of tidemill are
the whole process. The values are compared before anything is timed; the tolerances stand in `TOLERANCES`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target/offline"
FLIGHTS = WORK / "flights.parquet"
TRANSFORMS = ["departure-delay", "great-circle", "local-calendar", "weather-risk"]
READ = [
    "flight_id", "scheduled", "departed", "from_lat", "from_lon", "to_lat", "to_lon", "zone",
    "temp", "wind_speed", "wind_gust", "precip", "visib",
]
EARTH_KM = 6371.0088
# How far values may lie from tidemill's: exactly what integers and single roundings give, a few last bits of sines.
TOLERANCES = {
    "departure-delay.minutes_late": 0.0, "departure-delay.is_late": 0.0,
    "great-circle.km": 1e-8, "great-circle.bearing_deg": 1e-9,
    "local-calendar.hour_sin": 1e-12, "local-calendar.hour_cos": 1e-12,
    "local-calendar.weekday_sin": 1e-12, "local-calendar.weekday_cos": 1e-12,
    "weather-risk.risk": 1e-12,
}


def prepare(data):
    """One row a flight, with the coordinates of its airports and the weather at its origin."""
    import pandas as pd

    flights = pd.read_parquet(data / "flights.parquet")
    airports = pd.read_parquet(data / "airports.parquet").set_index("faa")
    weather = pd.read_parquet(data / "weather.parquet").drop_duplicates(["origin", "time_hour"])
    hour = pd.to_datetime(flights["time_hour"], utc=True)
    scheduled = hour + pd.to_timedelta(flights["minute"], unit="min")
    day = flights[["year", "month", "day"]].astype(str)
    out = pd.DataFrame({
        "flight_id": flights["carrier"] + flights["flight"].astype(str) + "/" + day["year"] + "-"
        + day["month"].str.zfill(2) + "-" + day["day"].str.zfill(2) + "/" + flights["origin"],
        "scheduled": scheduled.astype("datetime64[us, UTC]"),
        "departed": (scheduled + pd.to_timedelta(flights["dep_delay"], unit="min")).astype("datetime64[us, UTC]"),
    })
    for end, column in [("from", "origin"), ("to", "dest")]:
        out[f"{end}_lat"] = flights[column].map(airports["lat"])
        out[f"{end}_lon"] = flights[column].map(airports["lon"])
    out["zone"] = flights["origin"].map(airports["tzone"])
    measured = ["temp", "wind_speed", "wind_gust", "precip", "visib"]
    joined = flights[["origin", "time_hour"]].merge(weather, on=["origin", "time_hour"], how="left")
    for column in measured:
        out[column] = joined[column].to_numpy()
    WORK.mkdir(parents=True, exist_ok=True)
    out[READ].to_parquet(FLIGHTS, index=False)


def with_pandas(out):
    import numpy as np
    import pandas as pd

    rows = pd.read_parquet(FLIGHTS, columns=READ)
    made = pd.DataFrame({"flight_id": rows["flight_id"]})
    late = (rows["departed"] - rows["scheduled"]).dt.total_seconds() / 60.0
    made["departure-delay.minutes_late"] = late
    made["departure-delay.is_late"] = late > 15.0

    lat1, lon1, lat2, lon2 = (np.radians(rows[name].to_numpy()) for name in ["from_lat", "from_lon", "to_lat", "to_lon"])
    cos1, cos2, lon = np.cos(lat1), np.cos(lat2), lon2 - lon1
    a = np.sin((lat2 - lat1) / 2) ** 2 + cos1 * cos2 * np.sin(lon / 2) ** 2
    made["great-circle.km"] = 2 * EARTH_KM * np.arcsin(np.minimum(np.sqrt(a), 1.0))
    north = cos1 * np.sin(lat2) - np.sin(lat1) * cos2 * np.cos(lon)
    made["great-circle.bearing_deg"] = np.degrees(np.arctan2(np.sin(lon) * cos2, north)) % 360.0

    hours, weekdays = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for zone, at in rows.groupby("zone", sort=False).indices.items():
        local = rows["scheduled"].iloc[at].dt.tz_convert(zone).dt
        hours[at] = local.hour + local.minute / 60.0 + local.second / 3600.0
        weekdays[at] = local.weekday
    for name, turn in [("hour", hours / 24.0), ("weekday", weekdays / 7.0)]:
        made[f"local-calendar.{name}_sin"] = np.sin(2 * np.pi * turn)
        made[f"local-calendar.{name}_cos"] = np.cos(2 * np.pi * turn)

    sight = (0.5 * ((10.0 - rows["visib"]) / 10.0).clip(0.0, 1.0)).fillna(0.0)
    rain = (0.6 * (rows["precip"] / 0.3).clip(0.0, 1.0)).fillna(0.0)
    strongest = np.fmax(rows["wind_speed"], rows["wind_gust"])
    wind = (0.5 * ((strongest - 15.0) / 35.0).clip(0.0, 1.0)).fillna(0.0)
    ice = np.where((rows["precip"] > 0.0) & (rows["temp"] <= 32.0), 0.3, 0.0)
    made["weather-risk.risk"] = 1.0 - (1.0 - sight) * (1.0 - rain) * (1.0 - wind) * (1.0 - ice)
    made.to_parquet(out, index=False, compression="zstd", compression_level=1)


def with_polars(out):
    import polars as pl
    from math import pi

    c = pl.col
    rows = pl.scan_parquet(FLIGHTS).select(READ)
    zones = pl.scan_parquet(FLIGHTS).select(c("zone").unique()).collect()["zone"].drop_nulls().to_list()
    late = (c("departed") - c("scheduled")).dt.total_microseconds() / 6e7
    lat1, lon1, lat2, lon2 = (c(name).radians() for name in ["from_lat", "from_lon", "to_lat", "to_lon"])
    lon = lon2 - lon1
    a = ((lat2 - lat1) / 2).sin().pow(2) + lat1.cos() * lat2.cos() * (lon / 2).sin().pow(2)
    root = a.sqrt()
    km = 2 * EARTH_KM * pl.when(root > 1.0).then(1.0).otherwise(root).arcsin()
    north = lat1.cos() * lat2.sin() - lat1.sin() * lat2.cos() * lon.cos()
    bearing = pl.arctan2(lon.sin() * lat2.cos(), north).degrees() % 360.0

    def calendar(part):
        made = None
        for zone in zones:
            local = part(c("scheduled").dt.convert_time_zone(zone).dt)
            made = pl.when(c("zone") == zone) if made is None else made.when(c("zone") == zone)
            made = made.then(local)
        return made

    hour = calendar(lambda at: (at.hour() + at.minute() / 60.0 + at.second() / 3600.0) / 24.0)
    weekday = calendar(lambda at: (at.weekday() - 1) / 7.0)
    clip = lambda value: value.clip(0.0, 1.0)
    nan = lambda name: c(name).fill_nan(None)
    sight = (0.5 * clip((10.0 - nan("visib")) / 10.0)).fill_null(0.0)
    rain = (0.6 * clip(nan("precip") / 0.3)).fill_null(0.0)
    wind = (0.5 * clip((pl.max_horizontal(nan("wind_speed"), nan("wind_gust")) - 15.0) / 35.0)).fill_null(0.0)
    ice = pl.when((nan("precip") > 0.0) & (nan("temp") <= 32.0)).then(0.3).otherwise(0.0)
    rows.select(
        "flight_id",
        late.alias("departure-delay.minutes_late"),
        (late > 15.0).fill_null(False).alias("departure-delay.is_late"),
        km.alias("great-circle.km"),
        bearing.alias("great-circle.bearing_deg"),
        (2 * pi * hour).sin().alias("local-calendar.hour_sin"),
        (2 * pi * hour).cos().alias("local-calendar.hour_cos"),
        (2 * pi * weekday).sin().alias("local-calendar.weekday_sin"),
        (2 * pi * weekday).cos().alias("local-calendar.weekday_cos"),
        (1.0 - (1.0 - sight) * (1.0 - rain) * (1.0 - wind) * (1.0 - ice)).alias("weather-risk.risk"),
    ).collect().write_parquet(out, compression="zstd", compression_level=1)


def contender(name):
    """The work of one of them, told as JSON: its wall and CPU seconds."""
    work = {"pandas": with_pandas, "polars": with_polars}[name]
    if name == "pandas":
        import pandas  # noqa: F401
        import pyarrow

        cores = len(os.sched_getaffinity(0))
        pyarrow.set_cpu_count(cores)
        import pyarrow.parquet  # noqa: F401
    else:
        import polars  # noqa: F401
    wall, cpu = time.perf_counter(), time.process_time()
    work(WORK / f"{name}.parquet")
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))


def tidemill(binary, components, threads, out):
    """Wall and CPU seconds of the whole process."""
    command = [binary, "apply", *components, "--in", FLIGHTS, "--out", out, "--keep", "flight_id", "--threads", str(threads)]
    command += ["--bind", "local-calendar.at=scheduled"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, preexec_fn=held(threads))
    wall = time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def held(cores):
    """Holds a process to so many of the cores we have."""
    some = sorted(os.sched_getaffinity(0))[-cores:]
    return lambda: os.sched_setaffinity(0, some)


def other(name, cores):
    environment = {**os.environ, "POLARS_MAX_THREADS": str(cores)}
    command = [sys.executable, __file__, "--contender", name]
    said = subprocess.run(command, check=True, capture_output=True, preexec_fn=held(cores), env=environment)
    return tuple(json.loads(said.stdout))


def compare():
    """Every value of pandas and polars against tidemill's."""
    import numpy as np
    import pandas as pd

    ours = pd.read_parquet(WORK / "tidemill.parquet")
    assert ours["error"].isna().all()
    for name in ["pandas", "polars"]:
        theirs = pd.read_parquet(WORK / f"{name}.parquet")
        assert list(theirs["flight_id"]) == list(ours["flight_id"]), name
        for column, tolerance in TOLERANCES.items():
            mine, other_ = (frame[column].to_numpy(dtype=float) for frame in [ours, theirs])
            assert (np.isnan(mine) == np.isnan(other_)).all(), (name, column, "nulls")
            distance = np.nanmax(np.abs(mine - other_))
            if column == "great-circle.bearing_deg":
                distance = np.nanmax(np.minimum(np.abs(mine - other_), 360.0 - np.abs(mine - other_)))
            assert distance <= tolerance, (name, column, distance)
            print(f"  {name:<7} {column:<30} differs by at most {distance:.1e} (allowed {tolerance:.0e})")


def check(parser, data):
    """That there is something to join, or that it was joined before: said before anything is built."""
    if data is None:
        if not FLIGHTS.exists():
            parser.error(f"{FLIGHTS} is not there yet: name the folder of nycflights13's Parquet files with --data")
        return
    absent = [name for name in ["flights", "airports", "weather"] if not (data / f"{name}.parquet").is_file()]
    if absent:
        parser.error(f"--data {data}: it has no {', '.join(f'{name}.parquet' for name in absent)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of nycflights13")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/tidemill")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        return contender(options.contender)
    check(parser, options.data)
    if not FLIGHTS.exists():
        prepare(options.data)
    for name in TRANSFORMS:
        command = [options.binary, "transform", "build", ROOT / "plugins" / name, "--target-dir", ROOT / "target/tidemill"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    components = [ROOT / "target/tidemill/components" / f"{name}.wasm" for name in TRANSFORMS]
    runs = {
        ("tidemill", 1): lambda: tidemill(options.binary, components, 1, WORK / "tidemill.parquet"),
        ("tidemill", 2): lambda: tidemill(options.binary, components, 2, WORK / "tidemill-2.parquet"),
        ("pandas", 1): lambda: other("pandas", 1),
        ("polars", 1): lambda: other("polars", 1),
        ("pandas", 2): lambda: other("pandas", 2),
        ("polars", 2): lambda: other("polars", 2),
    }
    for run in runs.values():
        run()
    compare()
    one, two = (WORK / f"tidemill{end}.parquet" for end in ["", "-2"])
    assert one.read_bytes() == two.read_bytes(), "one thread and two write other files"
    best = {key: (float("inf"), float("inf")) for key in runs}
    for _ in range(options.rounds):
        for key, run in runs.items():
            best[key] = tuple(map(min, best[key], run()))
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(FLIGHTS).metadata.num_rows
    print(f"\n{rows:,} flights, four transforms, Parquet to Parquet; best of {options.rounds} rounds\n")
    print(f"{'':<10}{'cores':>6}{'wall s':>9}{'CPU s':>9}{'wall ×':>9}{'CPU ×':>9}   (× tidemill's on as many cores)")
    for (name, cores), (wall, cpu) in best.items():
        mine = best["tidemill", cores]
        print(f"{name:<10}{cores:>6}{wall:>9.3f}{cpu:>9.3f}{wall / mine[0]:>9.2f}{cpu / mine[1]:>9.2f}")
    one, two = best["tidemill", 1], best["tidemill", 2]
    print(f"\ntidemill, two cores: {one[0] / two[0]:.2f} × as fast as one, with {two[1] / one[1]:.2f} × the CPU time")


if __name__ == "__main__":
    main()
