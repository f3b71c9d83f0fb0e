#!/usr/bin/env python3
"""Train the demo's model and cut the demo's sample out of the year 2013.

Reads nycflights13 (flights, weather, planes, airports as Parquet) and writes, beside this script:

    flights.parquet, weather.parquet      seven whole days of real flights, with the weather of those hours
    planes.parquet, airports.parquet      the two reference tables, whole
    model/flight-delay.onnx               LightGBM, 100 trees, as ONNX
    model/flight-delay.json               its manifest: input order, training set, test metrics

and last runs tests/oracle/flights.py, which computes the sample's features a second time, one row after the
other in plain Python, and stops if the two disagree.

    pip install -r demo/requirements.txt
    python demo/flights/train.py                    # data in ../shared/data/nycflights13, beside the repository
    python demo/flights/train.py --data DIR

The question is asked at the moment a flight leaves the gate: will it arrive more than 15 minutes late? Trained
on the flights of January to September that have an arrival delay, tested on those of October to December. The
sample is taken from the test months only, so no flight in it was seen in training.

Two runs on the same libraries write the same bytes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import runpy
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import onnxmltools
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]

# The days of the sample, each for something it shows.
DAYS = {
    "2013-10-05": "an ordinary Saturday",
    "2013-11-03": "clocks go back at 06:00 UTC: a local day of 25 hours",
    "2013-11-14": "an ordinary Thursday",
    "2013-11-28": "Thanksgiving",
    "2013-12-10": "snow: two flights in three arrive late",
    "2013-12-25": "Christmas",
    "2013-12-31": "the weather record ended the evening before: every weather lookup is outside its max age",
}
WEATHER_BEFORE = pd.Timedelta(hours=6)
WEATHER_MAX_AGE = pd.Timedelta(hours=3)
LATE_MINUTES = 15
EARTH_RADIUS_KM = 6371.0088  # IUGG mean radius R1

FEATURES = [
    "delay.minutes_late",
    "leg.km",
    "leg.bearing_deg",
    "calendar.hour_sin",
    "calendar.hour_cos",
    "calendar.weekday_sin",
    "calendar.weekday_cos",
    "risk.risk",
    "weather.temp",
    "weather.wind_speed",
    "weather.wind_gust",
    "weather.precip",
    "weather.visib",
    "weather.pressure",
    "plane.year",
    "plane.seats",
    "plane.engines",
]
INPUT = "features"  # the ONNX input: float32 [rows, len(FEATURES)], NaN for null


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", type=Path, default=REPO.parent / "shared" / "data" / "nycflights13")
    data = args.parse_args().data

    flights = departed_flights(data)
    weather = hourly_weather(data)
    planes, airports = reference_tables(data)

    vectors = feature_vectors(flights, weather, planes, airports)
    model, manifest = train(flights, vectors)
    (HERE / "model").mkdir(exist_ok=True)
    (HERE / "model" / "flight-delay.onnx").write_bytes(model)
    (HERE / "model" / "flight-delay.json").write_text(json.dumps(manifest, indent=2) + "\n")

    write_sample(flights, weather, planes, airports)
    in_sample = flights["local_date"].isin(DAYS)
    check_against_oracle(flights[in_sample], vectors[in_sample], model)


# ---- the tables ------------------------------------------------------------------------------------------------


def departed_flights(data: Path) -> pd.DataFrame:
    """Every flight that left the gate, in the order it did."""
    f = pd.read_parquet(data / "flights.parquet")
    f = f[f["dep_time"].notna()]
    hour = pd.to_datetime(f["time_hour"]).astype("datetime64[us, UTC]")
    scheduled = hour + pd.to_timedelta(f["minute"], unit="min")
    departed = scheduled + pd.to_timedelta(f["dep_delay"], unit="min")
    date = f[["year", "month", "day"]].astype(str)
    local_date = date["year"] + "-" + date["month"].str.zfill(2) + "-" + date["day"].str.zfill(2)
    out = pd.DataFrame(
        {
            "flight_id": f["carrier"] + f["flight"].astype(str) + "/" + local_date + "/" + f["origin"],
            "carrier": f["carrier"],
            "tailnum": f["tailnum"],
            "origin": f["origin"],
            "dest": f["dest"],
            "scheduled": scheduled.astype("datetime64[us, UTC]"),
            "departed": departed.astype("datetime64[us, UTC]"),
            "arr_delay": f["arr_delay"],
            "local_date": local_date,
        }
    )
    assert out["flight_id"].is_unique
    return out.sort_values(["departed", "flight_id"], ignore_index=True)


def hourly_weather(data: Path) -> pd.DataFrame:
    w = pd.read_parquet(data / "weather.parquet")
    w["time_hour"] = pd.to_datetime(w["time_hour"]).astype("datetime64[us, UTC]")
    columns = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    # A stable sort: were an (origin, hour) to come twice, the later row in the file would stay the later one, and
    # win. In version 0.0.3 none does; the hour that repeats on 3 November is two different hours in UTC.
    return w.sort_values(["time_hour", "origin"], kind="stable", ignore_index=True)[["origin", "time_hour", *columns]]


def reference_tables(data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    planes = pd.read_parquet(data / "planes.parquet")
    for column in ("year", "engines", "seats", "speed"):
        planes[column] = planes[column].astype("Int64")
    airports = pd.read_parquet(data / "airports.parquet")
    assert planes["tailnum"].is_unique and airports["faa"].is_unique
    return planes, airports


# ---- the features, vectorised ----------------------------------------------------------------------------------


def feature_vectors(flights, weather, planes, airports) -> pd.DataFrame:
    """One row a flight, columns FEATURES, float64, NaN for null."""
    plane = planes.set_index("tailnum").reindex(flights["tailnum"]).reset_index(drop=True)
    airports = airports.set_index("faa")
    origin = airports.reindex(flights["origin"]).reset_index(drop=True)
    dest = airports.reindex(flights["dest"]).reset_index(drop=True)
    seen = weather_at_departure(flights, weather)

    out = pd.DataFrame(index=flights.index)
    minute = np.timedelta64(60_000_000, "us")
    out["delay.minutes_late"] = (flights["departed"] - flights["scheduled"]) / minute
    out["leg.km"], out["leg.bearing_deg"] = great_circle(origin["lat"], origin["lon"], dest["lat"], dest["lon"])

    local_hour = pd.Series(np.nan, index=flights.index)
    weekday = pd.Series(np.nan, index=flights.index)
    for zone, rows in origin.groupby("tzone"):
        local = flights.loc[rows.index, "scheduled"].dt.tz_convert(zone)
        local_hour[rows.index] = local.dt.hour + local.dt.minute / 60 + local.dt.second / 3600
        weekday[rows.index] = local.dt.day_of_week.astype(float)
    out["calendar.hour_sin"] = np.sin(2 * np.pi * local_hour / 24)
    out["calendar.hour_cos"] = np.cos(2 * np.pi * local_hour / 24)
    out["calendar.weekday_sin"] = np.sin(2 * np.pi * weekday / 7)
    out["calendar.weekday_cos"] = np.cos(2 * np.pi * weekday / 7)

    out["risk.risk"] = weather_risk(seen)
    for column in ("temp", "wind_speed", "wind_gust", "precip", "visib", "pressure"):
        out[f"weather.{column}"] = seen[column]
    for column in ("year", "seats", "engines"):
        out[f"plane.{column}"] = plane[column].astype("Float64").to_numpy(float, na_value=np.nan)
    assert list(out.columns) == FEATURES
    return out


def weather_at_departure(flights, weather) -> pd.DataFrame:
    """The newest weather row of the origin at or before departure; nulls where it is older than the max age."""
    return pd.merge_asof(
        flights[["departed", "origin"]],
        weather,
        left_on="departed",
        right_on="time_hour",
        by="origin",
        direction="backward",
        tolerance=WEATHER_MAX_AGE,
    )


def great_circle(lat1, lon1, lat2, lon2):
    """Haversine distance in km and initial bearing in degrees, 0 to 360."""
    phi1, phi2 = np.radians(lat1), np.radians(lat2)
    dphi, dlam = np.radians(lat2 - lat1), np.radians(lon2 - lon1)
    a = np.sin(dphi / 2) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(dlam / 2) ** 2
    km = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(1, np.sqrt(a)))
    y = np.sin(dlam) * np.cos(phi2)
    x = np.cos(phi1) * np.sin(phi2) - np.sin(phi1) * np.cos(phi2) * np.cos(dlam)
    bearing = np.degrees(np.arctan2(y, x))
    return km, bearing.where(~(bearing < 0), bearing + 360)


def weather_risk(w):
    """0 to 1: poor sight, rain, wind and ice, as if independent. A null contributes nothing."""
    p_visib = 0.5 * ((10 - w["visib"]) / 10).clip(0, 1).fillna(0)
    p_precip = 0.6 * (w["precip"] / 0.3).clip(0, 1).fillna(0)
    wind = w[["wind_speed", "wind_gust"]].max(axis=1)  # skips nulls
    p_wind = 0.5 * ((wind - 15) / 35).clip(0, 1).fillna(0)
    p_ice = 0.3 * ((w["temp"] <= 32) & (w["precip"] > 0))
    return 1 - (1 - p_visib) * (1 - p_precip) * (1 - p_wind) * (1 - p_ice)


# ---- the model -------------------------------------------------------------------------------------------------


def train(flights, vectors) -> tuple[bytes, dict]:
    labelled = flights["arr_delay"].notna()
    training = labelled & (flights["local_date"] <= "2013-09-30")
    test = labelled & (flights["local_date"] >= "2013-10-01")
    late = (flights["arr_delay"] > LATE_MINUTES).to_numpy().astype(int)
    # The server hands the model float32, so it is trained on float32: thresholds then fall between values it can see.
    x = vectors.to_numpy(np.float32)

    classifier = lightgbm.LGBMClassifier(
        n_estimators=100,
        max_depth=6,
        num_leaves=31,
        learning_rate=0.1,
        min_child_samples=100,
        random_state=2013,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbose=-1,
    )
    classifier.fit(x[training], late[training])
    model = to_onnx(classifier)

    score = onnx_scores(model, x[test])
    own = classifier.predict_proba(x[test])[:, 1]
    worst = np.abs(score - own).max()
    assert worst < 1e-5, f"the ONNX export differs from LightGBM by {worst}"

    y = late[test]
    manifest = {
        "name": "flight-delay",
        "description": "The probability, at the moment a flight leaves the gate, that it arrives more than 15 minutes late. "
        "LightGBM, 100 trees of depth at most 6.",
        "inputs": [{"name": INPUT, "features": FEATURES}],
        "training": {
            "script": "demo/flights/train.py",
            "data": "nycflights13 0.0.3",
            "rows": int(training.sum()),
            "from": "2013-01-01",
            "to": "2013-09-30",
            "label": f"arr_delay > {LATE_MINUTES}",
        },
        "test": {
            "from": "2013-10-01",
            "to": "2013-12-31",
            "rows": int(test.sum()),
            "auc": round(float(roc_auc_score(y, score)), 6),
            "log_loss": round(float(log_loss(y, score)), 6),
            "brier": round(float(brier_score_loss(y, score)), 6),
            "base_rate": round(float(y.mean()), 6),
        },
        "libraries": {
            name: importlib.metadata.version(name)
            for name in ("lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime", "pandas", "pyarrow", "scikit-learn")
        },
    }
    print("test:", manifest["test"])
    print(f"ONNX: {len(model):,} bytes; differs from LightGBM by {worst:.1e} at most")
    return model, manifest


def to_onnx(classifier) -> bytes:
    """Outputs `label` (int64 [rows]) and `probabilities` (float32 [rows, 2]); no ZipMap."""
    proto = onnxmltools.convert_lightgbm(
        classifier,
        name="flight-delay",
        initial_types=[(INPUT, FloatTensorType([None, len(FEATURES)]))],
        zipmap=False,
        target_opset=15,
    )
    graph = proto.graph
    # The converter surrounds the trees with Identity, Cast and a multiplication by one, and declares one label
    # whatever the number of rows. What is left is the tree ensemble, its two outputs and its rows.
    assert [n.op_type for n in graph.node] == ["TreeEnsembleClassifier", "Identity", "Identity", "Cast", "Mul"]
    (trees, *_) = graph.node
    trees.output[:] = ["label", "probabilities"]
    # Statistics of the training run that no runtime reads: a tenth of the file.
    kept = [a for a in trees.attribute if a.name != "nodes_hitrates"]
    trees = onnx.helper.make_node(trees.op_type, trees.input, trees.output, name=trees.name, domain=trees.domain)
    trees.attribute.extend(kept)
    (x, floats, int64s) = (graph.input[0].name, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64)
    graph = onnx.helper.make_graph(
        [trees],
        graph.name,
        [onnx.helper.make_tensor_value_info(x, floats, ["rows", len(FEATURES)])],
        [
            onnx.helper.make_tensor_value_info("label", int64s, ["rows"]),
            onnx.helper.make_tensor_value_info("probabilities", floats, ["rows", 2]),
        ],
    )
    opsets = sorted((o.domain, o.version) for o in proto.opset_import if o.domain == trees.domain)
    proto = onnx.helper.make_model(
        graph,
        producer_name=proto.producer_name,
        ir_version=proto.ir_version,
        opset_imports=[onnx.helper.make_opsetid(*o) for o in [("", 9), *opsets]],
    )
    onnx.checker.check_model(proto)
    return proto.SerializeToString(deterministic=True)


def onnx_scores(model: bytes, x: np.ndarray) -> np.ndarray:
    """The probability of class 1."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {INPUT: x})[0][:, 1].astype(float)


# ---- the sample ------------------------------------------------------------------------------------------------


def write_sample(flights, weather, planes, airports) -> None:
    sample = flights[flights["local_date"].isin(DAYS)]
    hours = pd.Series(False, index=weather.index)
    for day in DAYS:
        first = pd.Timestamp(day, tz="America/New_York") - WEATHER_BEFORE
        last = sample.loc[sample["local_date"] == day, "departed"].max()
        hours |= weather["time_hour"].between(first, last)

    text, real, whole = pa.string(), pa.float64(), pa.int64()
    time = pa.timestamp("us", tz="UTC")
    write("flights", sample, {
        "flight_id": text, "carrier": text, "tailnum": text, "origin": text, "dest": text,
        "scheduled": time, "departed": time, "arr_delay": real,
    })
    write("weather", weather[hours], {
        "origin": text, "time_hour": time, "temp": real, "dewp": real, "humid": real, "wind_dir": real,
        "wind_speed": real, "wind_gust": real, "precip": real, "pressure": real, "visib": real,
    })
    write("planes", planes, {
        "tailnum": text, "year": whole, "type": text, "manufacturer": text, "model": text, "engines": whole,
        "seats": whole, "speed": whole, "engine": text,
    })
    write("airports", airports, {
        "faa": text, "name": text, "lat": real, "lon": real, "alt": whole, "tz": whole, "dst": text, "tzone": text,
    })


def write(name: str, frame: pd.DataFrame, types: dict) -> None:
    table = pa.Table.from_arrays(
        [pa.Array.from_pandas(frame[column], type=kind) for column, kind in types.items()], names=list(types)
    )
    path = HERE / f"{name}.parquet"
    pq.write_table(table, path, compression="zstd", compression_level=19, use_dictionary=True, store_schema=False)
    print(f"{path.relative_to(REPO)}: {table.num_rows:,} rows, {path.stat().st_size:,} bytes")


def check_against_oracle(flights, vectors, model) -> None:
    """The row-by-row reference, from the committed files alone, must agree with what the model was trained on."""
    oracle = runpy.run_path(str(REPO / "tests" / "oracle" / "flights.py"))["write"]()
    assert oracle.column("flight_id").to_pylist() == flights["flight_id"].to_list()
    for name in FEATURES:
        want = oracle.column(name).to_pandas().to_numpy(float)
        got = vectors[name].to_numpy(float)
        assert (np.isnan(want) == np.isnan(got)).all(), f"{name}: nulls differ"
        worst = np.nanmax(np.abs(want - got) / np.maximum(1, np.abs(want)), initial=0)
        assert worst < 1e-12, f"{name}: training and oracle differ by {worst}"
    score = onnx_scores(model, vectors.to_numpy(np.float32))
    worst = np.abs(score - oracle.column("score").to_numpy()).max()
    assert worst < 1e-6, f"score: training and oracle differ by {worst}"
    late = (flights["arr_delay"] > LATE_MINUTES).to_numpy()
    known = flights["arr_delay"].notna().to_numpy()
    print(f"oracle agrees on {len(flights):,} flights; AUC on the sample {roc_auc_score(late[known], score[known]):.4f}")


if __name__ == "__main__":
    main()
