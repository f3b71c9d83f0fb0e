"""The columns of a training set or of the feature log as pandas and pyarrow read them: types, nulls, lists, timestamps.

    tests/oracle/notebook.py data/log/service=flight-delay set/rows.parquet

Needs pandas and pyarrow. Prints the columns of each file or folder, and ends with 1 where a type is not the expected one.
"""

import sys

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

# Of some columns of the flight service of the demo.
EXPECTED = {
    "time": "datetime64[us, UTC]",
    "request.departed": "datetime64[us, UTC]",
    "weather.event_time": "datetime64[us, UTC]",
    "weather.temp": "float64",
    "weather.status": "str",
    "plane.seats": "Int64",
    "delay.is_late": "boolean",
    "score": "float64",
    "request_id": "str",
}


def named(dtype: object) -> str:
    """A type by one name: text is called string, object or str, and Float64 is the nullable float64."""
    name = str(dtype).lower()
    return "str" if name in ("string", "object") else name


def main() -> int:
    wrong = 0
    for path in sys.argv[1:]:
        table = ds.dataset(path, format="parquet").to_table()
        frame = pd.read_parquet(path, dtype_backend="numpy_nullable")
        plain = pd.read_parquet(path)
        print(f"{path}: {table.num_rows} rows")
        for field in table.schema:
            if field.name not in frame.columns:
                continue
            print(f"  {field.name:32} {field.type!s:28} {frame[field.name].dtype!s:22} {plain[field.name].isna().sum()} null")
            expected = EXPECTED.get(field.name)
            # With nullable types and without: one of the two is as expected.
            found = {named(kind[field.name].dtype) for kind in (frame, plain)}
            if expected and named(expected) not in found:
                print(f"    expected {expected}")
                wrong += 1
        for name in ("vector", "transforms"):
            if name in table.column_names:
                field = table.schema.field(name)
                assert pa.types.is_list(field.type), field
                print(f"  first {name}: {table.column(name)[0].as_py()}")
        for name in table.column_names:
            if pa.types.is_timestamp(table.schema.field(name).type) and name in plain.columns:
                values = plain[name].dropna()
                assert values.empty or values.dt.tz is not None, name
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
