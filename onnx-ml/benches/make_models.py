#!/usr/bin/env python3
"""Train the two forests of the speed bench, and rows to feed them.

Writes to the folder given (a few megabytes; not for the repository):

    trees-100-depth-6.onnx     LightGBM, binary, 100 trees with 64 leaves each
    trees-500-depth-8.onnx     LightGBM, binary, 500 trees with 256 leaves each
    rows.f32                   1,000 rows × 24 columns, float32, little-endian, row-major; 5 % of the values NaN
    trees-….f32                for each model, ONNX Runtime's probability of class 1 for each of those rows

The trees are complete, as near as the data allows, so that every row takes the full depth through every tree; the
input is `x`, float32 [rows, 24], the outputs `label` and `probabilities`.

    pip install lightgbm onnxmltools skl2onnx onnxruntime
    python make_models.py FOLDER
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
from onnxmltools.convert.common.data_types import FloatTensorType

COLUMNS = 24
MODELS = {"trees-100-depth-6": (100, 6), "trees-500-depth-8": (500, 8)}


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("folder", type=Path)
    folder = args.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)

    rng = np.random.default_rng(1_000)
    x, y = examples(rng, 60_000)
    rows, _ = examples(rng, 1_000)
    (folder / "rows.f32").write_bytes(rows.astype("<f4").tobytes())
    for name, (trees, depth) in MODELS.items():
        model = train(name, x, y, trees, depth)
        (folder / f"{name}.onnx").write_bytes(model)
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        scores = session.run(["probabilities"], {"x": rows})[0][:, 1]
        (folder / f"{name}.f32").write_bytes(scores.astype("<f4").tobytes())
        print(f"  {name}.onnx: {len(model):,} bytes")


def examples(rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Every column matters a little, in pairs, so that there is always something left to split on."""
    x = rng.normal(size=(n, COLUMNS)).astype(np.float32)
    pairs = x[:, ::2] * x[:, 1::2] + np.sin(3 * x[:, ::2])
    y = pairs.sum(axis=1) + rng.normal(scale=2, size=n) > 0
    x[rng.random(x.shape) < 0.05] = np.nan
    return x, y.astype(np.int64)


def train(name: str, x, y, trees: int, depth: int) -> bytes:
    classifier = lightgbm.LGBMClassifier(
        n_estimators=trees,
        max_depth=depth,
        num_leaves=2**depth,
        min_child_samples=1,
        min_child_weight=0,
        min_split_gain=0,
        learning_rate=0.02,
        subsample_for_bin=len(x),
        random_state=1,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbose=-1,
    )
    classifier.fit(x, y)
    leaves = [tree["num_leaves"] for tree in classifier.booster_.dump_model()["tree_info"]]
    print(f"{name}: {len(leaves)} trees, {np.mean(leaves):.0f} leaves a tree of {2**depth}", file=sys.stderr)
    proto = onnxmltools.convert_lightgbm(
        classifier,
        name=name,
        initial_types=[("x", FloatTensorType([None, COLUMNS]))],
        zipmap=False,
        target_opset=15,
    )
    return proto.SerializeToString(deterministic=True)


if __name__ == "__main__":
    main()
