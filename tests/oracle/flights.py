#!/usr/bin/env python3
"""The reference for the flight demo: every sample flight's features and score, in plain Python.

One flight after the other, Python floats, `math` and `zoneinfo`; nothing here is shared with the vectorised code
that trained the model, and nothing with the server. Reads the committed files in demo/flights and writes
tests/oracle/flights.parquet, one row a flight in the sample's order:

    flight_id
    status_plane, status_origin_airport, status_dest_airport, status_weather
                   present, null (no key), not_found or outside_max_age
    17 features    named as in the model's manifest, in its order; null where the server's value is null
    score          ONNX Runtime's probability of class 1, the features given as float32, NaN for null

    python tests/oracle/flights.py            # writes
    python tests/oracle/flights.py --check    # computes again and compares with what is committed
"""

from __future__ import annotations

import argparse
import json
import math
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq

REPO = Path(__file__).resolve().parents[2]
DEMO = REPO / "demo" / "flights"
OUT = Path(__file__).with_suffix(".parquet")

WEATHER_MAX_AGE = timedelta(hours=3)
EARTH_RADIUS_KM = 6371.0088
STATUSES = ["status_plane", "status_origin_airport", "status_dest_airport", "status_weather"]


def write() -> pa.Table:
    table = compute()
    pq.write_table(table, OUT, compression="zstd", compression_level=19, use_dictionary=True, store_schema=False)
    print(f"{OUT.relative_to(REPO)}: {table.num_rows:,} rows, {OUT.stat().st_size:,} bytes")
    return table


def compute() -> pa.Table:
    planes = {row["tailnum"]: row for row in rows("planes")}
    airports = {row["faa"]: row for row in rows("airports")}
    weather = rows("weather")  # by time_hour: the store's stream of updates

    newest: dict[str, dict] = {}  # by origin, as a store holds it at the moment of the request
    posted = 0
    answers = []
    for flight in rows("flights"):  # by departed
        while posted < len(weather) and weather[posted]["time_hour"] <= flight["departed"]:
            newest[weather[posted]["origin"]] = weather[posted]
            posted += 1
        answers.append(answer(flight, planes, airports, newest))

    manifest = json.loads((DEMO / "model" / "flight-delay.json").read_text())
    (model_input,) = manifest["inputs"]
    columns = ["flight_id", *STATUSES, *model_input["features"]]
    for a in answers:
        assert list(a) == columns
    scores = score(answers, model_input)

    text, real = pa.string(), pa.float64()
    arrays = [pa.array([a[c] for a in answers], text if c == "flight_id" or c in STATUSES else real) for c in columns]
    return pa.Table.from_arrays([*arrays, pa.array(scores, real)], names=[*columns, "score"])


def rows(name: str) -> list[dict]:
    return pq.read_table(DEMO / f"{name}.parquet").to_pylist()


def answer(flight, planes, airports, newest) -> dict:
    plane, plane_status = look_up(planes, flight["tailnum"])
    origin, origin_status = look_up(airports, flight["origin"])
    dest, dest_status = look_up(airports, flight["dest"])
    weather, weather_status = look_up(newest, flight["origin"])
    if weather is not None and flight["departed"] - weather["time_hour"] > WEATHER_MAX_AGE:
        weather, weather_status = None, "outside_max_age"
    plane, origin, dest, weather = (Row(r) for r in (plane, origin, dest, weather))

    km, bearing = great_circle(origin["lat"], origin["lon"], dest["lat"], dest["lon"])
    hour_sin, hour_cos, weekday_sin, weekday_cos = calendar(flight["scheduled"], origin["tzone"])
    return {
        "flight_id": flight["flight_id"],
        "status_plane": plane_status,
        "status_origin_airport": origin_status,
        "status_dest_airport": dest_status,
        "status_weather": weather_status,
        "delay.minutes_late": (flight["departed"] - flight["scheduled"]).total_seconds() / 60,
        "leg.km": km,
        "leg.bearing_deg": bearing,
        "calendar.hour_sin": hour_sin,
        "calendar.hour_cos": hour_cos,
        "calendar.weekday_sin": weekday_sin,
        "calendar.weekday_cos": weekday_cos,
        "risk.risk": weather_risk(weather),
        "weather.temp": weather["temp"],
        "weather.wind_speed": weather["wind_speed"],
        "weather.wind_gust": weather["wind_gust"],
        "weather.precip": weather["precip"],
        "weather.visib": weather["visib"],
        "weather.pressure": weather["pressure"],
        "plane.year": plane["year"],
        "plane.seats": plane["seats"],
        "plane.engines": plane["engines"],
    }


class Row:
    """A looked-up row; every column of a row that is not there is null."""

    def __init__(self, row: dict | None):
        self.row = row

    def __getitem__(self, column: str):
        return None if self.row is None else self.row[column]


def look_up(table: dict, key) -> tuple[dict | None, str]:
    if key is None:
        return None, "null"
    row = table.get(key)
    return row, "not_found" if row is None else "present"


def great_circle(lat1, lon1, lat2, lon2) -> tuple[float | None, float | None]:
    """Haversine distance in km and initial bearing in degrees, 0 to 360."""
    if None in (lat1, lon1, lat2, lon2):
        return None, None
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    dphi, dlam = math.radians(lat2 - lat1), math.radians(lon2 - lon1)
    a = math.sin(dphi / 2) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(dlam / 2) ** 2
    km = 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(a)))
    y = math.sin(dlam) * math.cos(phi2)
    x = math.cos(phi1) * math.sin(phi2) - math.sin(phi1) * math.cos(phi2) * math.cos(dlam)
    bearing = math.degrees(math.atan2(y, x))
    return km, bearing + 360.0 if bearing < 0 else bearing


def calendar(at: datetime, zone: str | None) -> tuple[float | None, ...]:
    """Local hour and weekday as sine and cosine. Monday is 0."""
    if zone is None:
        return None, None, None, None
    local = at.astimezone(ZoneInfo(zone))
    hour = 2 * math.pi * (local.hour + local.minute / 60 + local.second / 3600) / 24
    weekday = 2 * math.pi * local.weekday() / 7
    return math.sin(hour), math.cos(hour), math.sin(weekday), math.cos(weekday)


def weather_risk(weather: Row) -> float:
    """0 to 1 from sight (miles), rain (inches an hour), wind (mph), temperature (°F). Never null."""
    visib, precip, temp = weather["visib"], weather["precip"], weather["temp"]
    winds = [w for w in (weather["wind_speed"], weather["wind_gust"]) if w is not None]
    p_visib = 0.0 if visib is None else 0.5 * clamp((10 - visib) / 10)
    p_precip = 0.0 if precip is None else 0.6 * clamp(precip / 0.3)
    p_wind = 0.5 * clamp((max(winds) - 15) / 35) if winds else 0.0
    icy = temp is not None and precip is not None and temp <= 32 and precip > 0
    p_ice = 0.3 if icy else 0.0
    return 1 - (1 - p_visib) * (1 - p_precip) * (1 - p_wind) * (1 - p_ice)


def clamp(x: float) -> float:
    return min(max(x, 0.0), 1.0)


def score(answers: list[dict], model_input: dict) -> list[float]:
    vectors = [[math.nan if a[f] is None else a[f] for f in model_input["features"]] for a in answers]
    session = onnxruntime.InferenceSession(
        DEMO / "model" / "flight-delay.onnx", providers=["CPUExecutionProvider"]
    )
    (probabilities,) = session.run(["probabilities"], {model_input["name"]: np.array(vectors, np.float32)})
    return [float(p) for p in probabilities[:, 1]]


def check() -> None:
    committed, fresh = pq.read_table(OUT), compute()
    assert committed.column_names == fresh.column_names and committed.num_rows == fresh.num_rows
    for name in fresh.column_names:
        pairs = zip(committed.column(name).to_pylist(), fresh.column(name).to_pylist(), strict=True)
        tolerance = 1e-6 if name == "score" else 1e-12
        for row, (want, got) in enumerate(pairs):
            same = want == got or (
                isinstance(want, float)
                and isinstance(got, float)
                and abs(want - got) <= tolerance * max(1.0, abs(want))
            )
            assert same, f"{name}, row {row}: committed {want}, computed {got}"
    print(f"{OUT.relative_to(REPO)}: {committed.num_rows:,} rows agree")


if __name__ == "__main__":
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--check", action="store_true")
    check() if args.parse_args().check else write()
