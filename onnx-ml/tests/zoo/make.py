#!/usr/bin/env python3
"""Train and export the model zoo: small models of many kinds, with the answers ONNX Runtime gives.

Writes, beside this script, NAME.onnx and NAME.json for every model:

    {"inputs":  [{"name", "type", "shape", "data"}],
     "outputs": [{"name", "type", "shape", "data"}]}

`type` is float, double, int64 or string; `data` is flat, row-major; a float is written as the shortest decimal of its
value as a double (so that reading it as a double and narrowing it gives the same bits back), and one that is not
finite as "NaN", "Infinity" or "-Infinity". Where a graph ends in ZipMap, its list of maps stands as a rows × classes
float tensor, in the order of the class labels.

The rows hold, where the framework that trained the model allows it: values on a split's threshold, zeros of both
signs, very large numbers, NaN, categories that training never saw, empty text.

Each model is also asked in its own framework. Where the two differ, it is the export that differs; make.py stops
unless the difference is declared here with its reason, and README.md tells of it. The zoo's answers are those of
ONNX Runtime.

    pip install -r requirements.txt
    python make.py             # all models
    python make.py NAME…       # those only
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from pathlib import Path

import catboost
import lightgbm
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import skl2onnx
import skl2onnx.common._container
import xgboost
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    LabelEncoder,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

HERE = Path(__file__).resolve().parent
ROWS = 24
COLUMNS = 5
OPSET = {"": 15, "ai.onnx.ml": 3}

# skl2onnx 1.20 hands booleans and NumPy scalars to onnx 1.23, which wants whole numbers of Python's.
_make_node = skl2onnx.common._container.make_node


def make_node_of_plain_values(*args, **attributes):
    def whole(v):
        return int(v) if isinstance(v, (bool, np.bool_, np.integer)) else v

    return _make_node(*args, **{k: [whole(i) for i in v] if isinstance(v, list) else v for k, v in attributes.items()})


skl2onnx.common._container.make_node = make_node_of_plain_values

# ---- the data --------------------------------------------------------------------------------------------------

rng = np.random.default_rng(1912)


def grid(x) -> np.ndarray:
    """Multiples of 1/32: exact in float32, short in decimal, and often equal to a threshold."""
    return (np.round(np.asarray(x) * 32) / 32).astype(np.float32)


X = grid(rng.normal(size=(240, COLUMNS)))
_signal = X[:, 0] + 0.7 * X[:, 1] * X[:, 2] - 0.5 * np.abs(X[:, 3]) + rng.normal(scale=0.4, size=240)
Y2 = (_signal > 0).astype(np.int64)
Y3 = np.digitize(_signal, [-0.6, 0.5]).astype(np.int64)
Y3_TEXT = np.array(["late", "on time", "early"], dtype=object)[Y3]
YR = _signal.astype(np.float32)
Y2R = np.stack([_signal, np.sin(X[:, 4])], axis=1).astype(np.float32)
YCOUNT = np.floor(np.exp(_signal / 2)).astype(np.int64)

ROWS_X = grid(rng.normal(size=(ROWS, COLUMNS)))
ROWS_X[0] = 0
ROWS_X[1] = -0.0
ROWS_X[2] = X[0]
ROWS_X[3] = 8
ROWS_X[4] = -8

X_HOLES, ROWS_HOLES = X.copy(), ROWS_X.copy()
X_HOLES[rng.random(X.shape) < 0.15] = np.nan
ROWS_HOLES[rng.random(ROWS_X.shape) < 0.2] = np.nan
ROWS_HOLES[5] = np.nan
ROWS_HUGE = ROWS_HOLES.copy()
ROWS_HUGE[6] = [3e38, -3e38, 1e-40, -1e-40, 16777217]
ROWS_HUGE[7] = [np.inf, -np.inf, 0, 0, 0]

CARRIERS = np.array(["UA", "AA", "B6", "DL", "Zürich Air"], dtype=object)
AIRPORTS = np.array(["EWR", "JFK", "LGA"], dtype=object)
TABLE = pd.DataFrame(
    {
        "carrier": rng.choice(CARRIERS, 240),
        "origin": rng.choice(AIRPORTS, 240),
        "stops": rng.integers(0, 4, 240),
        "temp": X_HOLES[:, 0],
        "wind": X_HOLES[:, 1],
    }
)
ROWS_TABLE = pd.DataFrame(
    {
        "carrier": rng.choice(CARRIERS, ROWS),
        "origin": rng.choice(AIRPORTS, ROWS),
        "stops": rng.integers(0, 4, ROWS),
        "temp": ROWS_HOLES[:, 0],
        "wind": ROWS_HOLES[:, 1],
    }
)
ROWS_TABLE.loc[0, "carrier"] = "XX"  # unseen
ROWS_TABLE.loc[1, "carrier"] = ""
ROWS_TABLE.loc[2, "carrier"] = "ua"
ROWS_TABLE.loc[3, "origin"] = "東京"
ROWS_TABLE.loc[4, "stops"] = 99
TEXT_COLUMNS = ["carrier", "origin"]

# Values a float32 cannot hold, on either side of thresholds.
ROWS_DOUBLE = ROWS_X.astype(np.float64) + np.where(np.arange(COLUMNS) % 2, 1e-12, -1e-12)

# ---- the zoo ---------------------------------------------------------------------------------------------------

ZOO: dict[str, callable] = {}


def scikit(name, model, x=X, y=None, rows=ROWS_X, kind=FloatTensorType, zipmap=False, both=False, **how):
    """An estimator, exported by skl2onnx. `both` makes a second one with ZipMap, NAME-zipmap."""

    def make():
        fitted = model.fit(x) if y is None else model.fit(x, y)
        return export(name, fitted, [("x", kind([None, rows.shape[1]]))], {"x": rows}, rows, zipmap, **how)

    ZOO[name] = make
    if both:
        scikit(f"{name}-zipmap", model, x, y, rows, kind, True, **how)


def export(name, fitted, types, feed, rows, zipmap=False, opset=OPSET, options=None, answers=None, differs=None):
    options = dict(options or {})
    if hasattr(fitted, "classes_") and not isinstance(fitted, LinearSVC):  # which has scores, never ZipMap
        options["zipmap"] = zipmap
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proto = to_onnx(
            fitted,
            initial_types=types,
            name=name,
            target_opset=opset,
            options={id(fitted): options} if options else None,
        )
    float_trees(proto)
    return proto, feed, framework_answers(fitted, rows, answers), differs


def float_trees(proto) -> None:
    """Tree ensembles before opset 5 answer in floats, also when asked in doubles; skl2onnx declares doubles."""
    made_by = {name: node.op_type for node in proto.graph.node for name in node.output}
    for output in proto.graph.output:
        double = output.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
        if double and made_by[output.name] in ("TreeEnsembleRegressor", "TreeEnsembleClassifier"):
            output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def framework_answers(fitted, rows, answers=None) -> list[np.ndarray]:
    """What the framework itself says, in the order of the graph's outputs."""
    if answers == ["predict", "columns"]:
        return [fitted.predict(rows), *fitted.predict_proba(rows).T]
    if answers is not None:
        return [getattr(fitted, answer)(rows) for answer in answers]
    if hasattr(fitted, "transform") and not hasattr(fitted, "predict"):
        answer = fitted.transform(rows)
        return [answer.toarray() if hasattr(answer, "toarray") else answer]
    answers = [fitted.predict(rows)]
    if hasattr(fitted, "predict_proba"):
        answers.append(fitted.predict_proba(rows))
    elif hasattr(fitted, "decision_function"):
        answers.append(fitted.decision_function(rows))
    return answers


def table(name, steps, model, y, zipmap=False, **how) -> None:
    """A ColumnTransformer over text, whole numbers and holes; one ONNX input a column."""

    def make():
        fitted = make_pipeline(ColumnTransformer(steps), model).fit(TABLE, y)
        kinds = {"carrier": StringTensorType, "origin": StringTensorType, "stops": Int64TensorType}
        types = [(column, kinds.get(column, FloatTensorType)([None, 1])) for column in TABLE]
        feed = {column: ROWS_TABLE[[column]].to_numpy() for column in TABLE}
        return export(name, fitted, types, feed, ROWS_TABLE, zipmap, **how)

    ZOO[name] = make


def labels(name, x, y) -> None:
    """LabelEncoder takes one column without a second dimension."""

    def make():
        fitted = LabelEncoder().fit(y)
        proto = to_onnx(fitted, initial_types=[("x", StringTensorType([None]))], name=name, target_opset=OPSET)
        return proto, {"x": x}, [fitted.transform(x)], None

    ZOO[name] = make


def tree_ensemble_5(name, source) -> None:
    """The model `source` with its trees as TreeEnsemble of ai.onnx.ml 5, which no exporter writes yet."""

    def make():
        proto, feed, framework, differs = ZOO[source]()
        (trees,) = proto.graph.node
        a = {x.name: onnx.helper.get_attribute_value(x) for x in trees.attribute}
        double = feed["x"].dtype == np.float64
        values = np.array(a["nodes_values"], np.float64 if double else np.float32)
        weights = np.array(a["target_weights"], values.dtype)
        leaves = {k: n for n, k in enumerate(zip(a["target_treeids"], a["target_nodeids"], strict=True))}
        assert len(leaves) == len(a["target_ids"]), "one target a leaf"
        keys = list(zip(a["nodes_treeids"], a["nodes_nodeids"], strict=True))
        inner = [i for i, mode in enumerate(a["nodes_modes"]) if mode != b"LEAF"]
        place = {keys[i]: n for n, i in enumerate(inner)}

        def children(which):
            to = [(keys[i][0], a[which][i]) for i in inner]
            return [leaves.get(k, place.get(k)) for k in to], [int(k in leaves) for k in to]

        truths, true_leaves = children("nodes_truenodeids")
        falses, false_leaves = children("nodes_falsenodeids")
        modes = [b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ"]
        tensor = onnx.numpy_helper.from_array
        missing = a.get("nodes_missing_value_tracks_true") or [0] * len(keys)
        node = onnx.helper.make_node(
            "TreeEnsemble",
            list(trees.input),
            list(trees.output),
            domain="ai.onnx.ml",
            n_targets=a["n_targets"],
            aggregate_function={b"AVERAGE": 0, b"SUM": 1}[a.get("aggregate_function", b"SUM")],
            post_transform=0,
            tree_roots=[place[k] for k in keys if k[1] == 0],
            nodes_featureids=[a["nodes_featureids"][i] for i in inner],
            nodes_modes=tensor(np.array([modes.index(a["nodes_modes"][i]) for i in inner], np.uint8)),
            nodes_splits=tensor(values[inner]),
            nodes_truenodeids=truths,
            nodes_trueleafs=true_leaves,
            nodes_falsenodeids=falses,
            nodes_falseleafs=false_leaves,
            nodes_missing_value_tracks_true=[missing[i] for i in inner],
            leaf_targetids=list(a["target_ids"]),
            leaf_weights=tensor(weights),
        )
        if double:  # unlike its forerunner, the operator answers in the type it was asked in
            proto.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
        proto.graph.node[0].CopyFrom(node)
        opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("ai.onnx.ml", 5)]
        proto = onnx.helper.make_model(proto.graph, opset_imports=opsets, ir_version=10)
        return proto, feed, framework, differs

    ZOO[name] = make


def logistic(**how):
    return LogisticRegression(max_iter=500, **how)


# linear
scikit("logistic-binary", logistic(), y=Y2, both=True)
scikit("logistic-multinomial", logistic(), y=Y3, both=True)
scikit("logistic-text-labels", logistic(), y=Y3_TEXT, both=True)
scikit("sgd-log-loss", SGDClassifier(loss="log_loss", random_state=1), y=Y3)
scikit("linear-svc-binary", LinearSVC(random_state=1), y=Y2)
scikit("linear-svc-multiclass", LinearSVC(random_state=1), y=Y3)
scikit("linear-regression", LinearRegression(), y=YR)
scikit("linear-regression-double", LinearRegression(), y=YR, rows=ROWS_X.astype(np.float64), kind=DoubleTensorType)
scikit("linear-regression-two-targets", LinearRegression(), y=Y2R)
scikit("ridge", Ridge(), y=YR)
scikit("linear-svr", LinearSVR(random_state=1), y=YR)
scikit("poisson-regressor", PoissonRegressor(), y=YCOUNT)

scikit("linear-discriminant", LinearDiscriminantAnalysis(), y=Y3)
scikit("one-vs-rest", OneVsRestClassifier(logistic()), y=Y3)
scikit("logistic-raw-scores", logistic(), y=Y2, options={"raw_scores": True}, answers=["predict", "decision_function"])
scikit("logistic-columns", logistic(), y=Y3, zipmap="columns", answers=["predict", "columns"])
scikit("logistic-double", logistic(), y=Y2, rows=ROWS_X.astype(np.float64), kind=DoubleTensorType)

# support vectors
few = slice(0, 60)
scikit("svc-rbf-binary", SVC(probability=True, random_state=1), X[few], Y2[few], both=True)
scikit("svc-rbf-multiclass", SVC(probability=True, random_state=1), X[few], Y3[few])
scikit("svc-linear-no-probability", SVC(kernel="linear"), X[few], Y3[few])
scikit("svc-poly", SVC(kernel="poly", degree=2, coef0=1, probability=True, random_state=1), X[few], Y3_TEXT[few])
scikit("svc-sigmoid", SVC(kernel="sigmoid", gamma=0.1, probability=True, random_state=1), X[few], Y2[few])
scikit("nu-svc", NuSVC(nu=0.3, probability=True, random_state=1), X[few], Y2[few])
scikit("svr-rbf", SVR(), X[few], YR[few])
scikit("svr-linear", SVR(kernel="linear", C=0.02), X[few], YR[few])
scikit("one-class-svm", OneClassSVM(nu=0.2), X[few])

# trees and forests
small = {"max_depth": 3, "random_state": 1}
grove = {"n_estimators": 6, **small}
copse = {"n_estimators": 3, **small}
scikit("decision-tree-binary", DecisionTreeClassifier(**small), y=Y2, both=True)
scikit("decision-tree-text-labels", DecisionTreeClassifier(**small), y=Y3_TEXT)
scikit("decision-tree-regressor", DecisionTreeRegressor(**small), y=YR)
scikit("decision-tree-two-targets", DecisionTreeRegressor(**small), y=Y2R)
scikit("random-forest-binary", RandomForestClassifier(**grove), y=Y2, both=True)
scikit("random-forest-multiclass", RandomForestClassifier(**grove), y=Y3, both=True)
scikit("random-forest-regressor", RandomForestRegressor(**grove), y=YR)
rounds = "scikit-learn's trees round their input to float32; the export compares the doubles it is given"
holed = "scikit-learn learns which way a missing value goes; skl2onnx writes that it always goes right"
scikit("random-forest-holes", RandomForestClassifier(**copse), X_HOLES, Y2, ROWS_HOLES, differs=holed)
scikit("random-forest-regressor-double", RandomForestRegressor(**grove), y=YR, rows=ROWS_DOUBLE, kind=DoubleTensorType, differs=rounds)
scikit("extra-trees-multiclass", ExtraTreesClassifier(**copse), y=Y3_TEXT, both=True)
scikit("extra-trees-regressor", ExtraTreesRegressor(**grove), y=YR)
scikit("gradient-boosting-binary", GradientBoostingClassifier(**grove), y=Y2, both=True)
scikit("gradient-boosting-multiclass", GradientBoostingClassifier(**copse), y=Y3, both=True)
scikit("gradient-boosting-regressor", GradientBoostingRegressor(**grove), y=YR)
hist = {"max_iter": 6, "max_depth": 3, "random_state": 1}
scikit("hist-gradient-boosting-binary", HistGradientBoostingClassifier(**hist), X_HOLES, Y2, ROWS_HOLES, both=True)
scikit("hist-gradient-boosting-multiclass", HistGradientBoostingClassifier(**{**hist, "max_iter": 3}), X_HOLES, Y3, ROWS_HOLES)
scikit("hist-gradient-boosting-double", HistGradientBoostingRegressor(**hist), y=YR, rows=ROWS_DOUBLE, kind=DoubleTensorType)
scikit("hist-gradient-boosting-regressor", HistGradientBoostingRegressor(**hist), X_HOLES, YR, ROWS_HUGE)
scikit("decision-tree-double", DecisionTreeClassifier(**small), y=Y2, rows=ROWS_DOUBLE, kind=DoubleTensorType)
scikit("decision-tree-int64", DecisionTreeClassifier(**small), TABLE[["stops"]].to_numpy(), (TABLE["stops"] % 3).to_numpy(), ROWS_TABLE[["stops"]].to_numpy(), Int64TensorType)
scikit("calibrated", CalibratedClassifierCV(DecisionTreeClassifier(**small), cv=2), y=Y2)
scikit("bagging", BaggingClassifier(DecisionTreeClassifier(**small), n_estimators=3, random_state=1), y=Y3)
scikit("stacking", StackingClassifier([("tree", DecisionTreeClassifier(**small)), ("bayes", GaussianNB())], logistic(), cv=2), y=Y2)
scikit("ada-boost-binary", AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=5, random_state=1), y=Y2)
scikit("ada-boost-multiclass", AdaBoostClassifier(n_estimators=5, random_state=1), y=Y3, both=True)
scikit("ada-boost-regressor", AdaBoostRegressor(n_estimators=4, random_state=1), y=YR)
scikit("isolation-forest", IsolationForest(n_estimators=2, max_samples=8, random_state=1))

# neighbours, networks, Bayes, and a vote
scikit("knn-classifier", KNeighborsClassifier(5), X[few], Y3[few])
scikit("knn-regressor", KNeighborsRegressor(3), X[few], YR[few])
scikit("knn-regressor-weighted", KNeighborsRegressor(3, weights="distance"), X[few], YR[few], differs="the export weighs all neighbours the same")
scikit("mlp-binary", MLPClassifier((8, 4), max_iter=300, random_state=1), y=Y2, both=True)
scikit("mlp-multiclass", MLPClassifier((8,), activation="tanh", max_iter=300, random_state=1), y=Y3_TEXT)
scikit("mlp-regressor", MLPRegressor(hidden_layer_sizes=(8,), activation="logistic", max_iter=300, random_state=1), y=YR)
scikit("gaussian-nb", GaussianNB(), y=Y3, both=True)
scikit("bernoulli-nb", BernoulliNB(binarize=0.25), y=Y2)
scikit("voting", VotingClassifier([("logistic", logistic()), ("tree", DecisionTreeClassifier(**small))], voting="soft", flatten_transform=False), y=Y3)

# what comes before a model
scikit("standard-scaler", StandardScaler(), X_HOLES, rows=ROWS_HOLES)
scikit("standard-scaler-double", StandardScaler(), rows=ROWS_X.astype(np.float64), kind=DoubleTensorType)
scikit("min-max-scaler", MinMaxScaler(clip=True))
scikit("max-abs-scaler", MaxAbsScaler())
scikit("robust-scaler", RobustScaler())
scikit("normalizer-l1", Normalizer("l1"))
scikit("normalizer-l2", Normalizer("l2"))
scikit("normalizer-max", Normalizer("max"), differs="ONNX divides by the largest value, scikit-learn by the largest magnitude")
scikit("binarizer", Binarizer(threshold=0.25))
scikit("simple-imputer-mean", SimpleImputer(), X_HOLES, rows=ROWS_HOLES)
scikit("simple-imputer-constant", SimpleImputer(strategy="constant", fill_value=7), X_HOLES, rows=ROWS_HOLES)
scikit("simple-imputer-text", SimpleImputer(missing_values="", strategy="most_frequent"), TABLE[TEXT_COLUMNS].to_numpy(), rows=ROWS_TABLE[TEXT_COLUMNS].to_numpy(), kind=StringTensorType)
scikit("pca", PCA(3))
scikit("polynomial", PolynomialFeatures(2), X[:, :3], rows=ROWS_X[:, :3])
scikit("k-bins", KBinsDiscretizer(3, encode="ordinal", quantile_method="averaged_inverted_cdf"))
labels("label-encoder-text", CARRIERS[[0, 3, 1, 2, 4, 4, 0]], CARRIERS)
scikit("one-hot-text", OneHotEncoder(handle_unknown="ignore"), TABLE[TEXT_COLUMNS].to_numpy(), rows=ROWS_TABLE[TEXT_COLUMNS].to_numpy(), kind=StringTensorType)
scikit("one-hot-int64", OneHotEncoder(handle_unknown="ignore"), TABLE[["stops"]].to_numpy(), rows=ROWS_TABLE[["stops"]].to_numpy(), kind=Int64TensorType)
scikit("one-hot-drop-first", OneHotEncoder(drop="first"), TABLE[TEXT_COLUMNS].to_numpy(), rows=TABLE[TEXT_COLUMNS].to_numpy()[:ROWS], kind=StringTensorType)
scikit("ordinal-text", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), TABLE[TEXT_COLUMNS].to_numpy(), rows=ROWS_TABLE[TEXT_COLUMNS].to_numpy(), kind=StringTensorType)
scikit("ordinal-int64", OrdinalEncoder(), TABLE[["stops"]].to_numpy(), rows=TABLE[["stops"]].to_numpy()[:ROWS], kind=Int64TensorType)

# pipelines
scikit("scaler-logistic", make_pipeline(StandardScaler(), logistic()), y=Y2, both=True)
scikit("imputer-scaler-mlp", make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), MLPClassifier((6,), max_iter=200, random_state=1)), X_HOLES, Y3, ROWS_HOLES)
numbers = make_pipeline(SimpleImputer(), StandardScaler())
one_hot = OneHotEncoder(handle_unknown="ignore")
ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
steps = [("text", one_hot, ["carrier", "origin"]), ("whole", one_hot, ["stops"]), ("numbers", numbers, ["temp", "wind"])]
table("columns-logistic", steps, logistic(), Y2)
table("columns-logistic-zipmap", steps, logistic(), Y3_TEXT, zipmap=True)
table("columns-gradient-boosting", [("text", ordinal, ["carrier", "origin"]), ("rest", "passthrough", ["stops"]), ("numbers", SimpleImputer(), ["temp", "wind"])], GradientBoostingClassifier(**grove), Y2, zipmap=True)
table("columns-ridge", [("text", one_hot, ["carrier"]), ("numbers", make_pipeline(SimpleImputer(strategy="constant", fill_value=-1), MinMaxScaler()), ["temp", "wind"])], Ridge(), YR)

# LightGBM and XGBoost, through their converters for skl2onnx
boosted = {"n_estimators": 6, "max_depth": 3, "n_jobs": 1, "random_state": 1}
few_trees = {"n_estimators": 3}
light = {**boosted, "num_leaves": 7, "min_child_samples": 8, "deterministic": True, "force_row_wise": True, "verbose": -1}
for kind in (lightgbm.LGBMClassifier, xgboost.XGBClassifier, xgboost.XGBRFClassifier):
    update_registered_converter(
        kind, kind.__name__, calculate_linear_classifier_output_shapes,
        convert_lightgbm if kind is lightgbm.LGBMClassifier else convert_xgboost,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )  # fmt: skip
for kind in (lightgbm.LGBMRegressor, xgboost.XGBRegressor):
    update_registered_converter(
        kind, kind.__name__, calculate_linear_regressor_output_shapes,
        convert_lightgbm if kind is lightgbm.LGBMRegressor else convert_xgboost,
        options={"split": None},
    )  # fmt: skip
holes = {"x": X_HOLES, "rows": ROWS_HUGE}
scikit("lightgbm-binary", lightgbm.LGBMClassifier(**light), y=Y2, both=True, **holes)
scikit("lightgbm-multiclass", lightgbm.LGBMClassifier(**light | few_trees), y=Y3, both=True, **holes)
scikit("lightgbm-regressor", lightgbm.LGBMRegressor(**light), y=YR, **holes)
scikit("lightgbm-poisson", lightgbm.LGBMRegressor(objective="poisson", **light), y=YCOUNT, **holes)
categorical = {"categorical_feature": [0], "min_data_per_group": 1, "cat_smooth": 1, "max_cat_to_onehot": 1, **light}
stops, rows_stops = (np.column_stack([t["stops"], x[:, 1:]]).astype(np.float32) for t, x in ((TABLE, X_HOLES), (ROWS_TABLE, ROWS_HOLES)))
stops[::5, 0] = rows_stops[::3, 0] = np.nan
scikit("lightgbm-categorical", lightgbm.LGBMClassifier(**categorical), stops, (TABLE["stops"] % 2 ^ Y2).to_numpy(), rows_stops)
scikit("lightgbm-scaler", make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(**light)), y=Y2)
scikit("xgboost-binary", xgboost.XGBClassifier(**boosted), y=Y2, both=True, **holes)
scikit("xgboost-multiclass", xgboost.XGBClassifier(**boosted | few_trees), y=Y3, both=True, **holes)
scikit("xgboost-random-forest", xgboost.XGBRFClassifier(**boosted), y=Y2, **holes)
scikit("xgboost-regressor", xgboost.XGBRegressor(**boosted), y=YR, **holes)
scikit("xgboost-regressor-no-base", xgboost.XGBRegressor(base_score=0.0, **boosted), y=YR, **holes)
scikit("xgboost-poisson", xgboost.XGBRegressor(objective="count:poisson", **boosted), y=YCOUNT, **holes)
scikit("xgboost-scaler", make_pipeline(StandardScaler(), xgboost.XGBClassifier(**boosted | few_trees)), y=Y2)


def cat(name, model, y, zipmap=False, **how) -> None:
    """CatBoost writes ONNX itself, classifiers always with ZipMap; without it, the graph is cut before it."""

    def make():
        fitted = model.fit(X_HOLES, y)
        path = HERE / f"{name}.tmp"
        fitted.save_model(path, format="onnx", export_parameters={"onnx_graph_name": name})
        proto = onnx.load(path)
        path.unlink()
        if not zipmap:
            cut_zipmap(proto)
        return proto, {"features": ROWS_HUGE}, framework_answers(fitted, ROWS_HUGE), how.get("differs")

    ZOO[name] = make


def cut_zipmap(proto) -> None:
    for node in [n for n in proto.graph.node if n.op_type == "ZipMap"]:
        proto.graph.node.remove(node)
        (old,) = [o for o in proto.graph.output if o.name == node.output[0]]
        proto.graph.output.remove(old)
        proto.graph.output.append(onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None))


oblivious = {"iterations": 5, "depth": 3, "random_seed": 1, "thread_count": 1, "verbose": False, "allow_writing_files": False}
cat("catboost-binary", catboost.CatBoostClassifier(**oblivious), Y2)
cat("catboost-binary-zipmap", catboost.CatBoostClassifier(**oblivious), Y2, zipmap=True)
cat("catboost-multiclass", catboost.CatBoostClassifier(loss_function="MultiClass", **oblivious), Y3)
cat("catboost-multiclass-zipmap", catboost.CatBoostClassifier(loss_function="MultiClass", **oblivious), Y3, zipmap=True)
cat("catboost-text-labels", catboost.CatBoostClassifier(loss_function="MultiClass", **oblivious), Y3_TEXT, zipmap=True)
cat("catboost-regressor", catboost.CatBoostRegressor(**oblivious), YR)

# the operator that came after
tree_ensemble_5("tree-ensemble-5", "random-forest-regressor")
tree_ensemble_5("tree-ensemble-5-double", "random-forest-regressor-double")
tree_ensemble_5("tree-ensemble-5-holes", "xgboost-regressor-no-base")

# ---- the writing -----------------------------------------------------------------------------------------------

TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double", np.dtype(np.int64): "int64"}


def main() -> None:
    wanted = sys.argv[1:] or list(ZOO)
    total, failed = 0, []
    for name in wanted:
        try:
            total += write(name, *ZOO[name]())
        except Exception as error:
            failed.append(name)
            print(f"{name:40} FAILED {type(error).__name__}: {str(error)[:600]}")
    print(f"{len(wanted) - len(failed)} models, {total:,} bytes; failed: {failed}")
    sys.exit(bool(failed))


def write(name: str, proto, feed: dict, framework: list, differs: str | None) -> int:
    tidy(proto)
    data = proto.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    answers = [flat_maps(a) for a in session.run(names, feed)]
    gap = difference(answers, framework)
    if gap > 1e-4 and differs is None:
        raise AssertionError(f"differs from its framework by {gap}: {[a[:8] for a in answers]} {[a[:8] for a in framework]}")

    assert gap > 1e-4 or differs is None, "declared to differ, and does not"

    vectors = {
        "inputs": [tensor(i.name, feed[i.name]) for i in session.get_inputs()],
        "outputs": [tensor(n, a) for n, a in zip(names, answers, strict=True)],
    }
    text = json.dumps(vectors, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    (HERE / f"{name}.onnx").write_bytes(data)
    (HERE / f"{name}.json").write_text(text)
    operators = sorted({n.op_type for n in proto.graph.node})
    print(f"{name:40} {len(data):7,} {len(text):7,} {gap:8.1e} {' '.join(operators)}")
    return len(data) + len(text)


def tidy(proto) -> None:
    """So that two runs write the same bytes, and no more than a runtime reads."""
    del proto.metadata_props[:]  # CatBoost's record of its training, with the time of it
    opsets = sorted({(o.domain, o.version) for o in proto.opset_import})
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(*o) for o in opsets)


def flat_maps(answer):
    """ZipMap's list of maps as rows × classes, the classes in the order of the maps, which is that of the labels."""
    if not isinstance(answer, list):
        return answer
    assert all(list(row) == list(answer[0]) for row in answer)
    return np.array([list(row.values()) for row in answer], np.float32)


def difference(answers, framework) -> float:
    """The largest difference between ONNX Runtime and the framework; infinite where labels or NaNs differ."""
    worst = 0.0
    for got, want in zip(answers, framework):
        want = np.asarray(want)
        if want.ndim == 1 and got.ndim == 2 and got.shape[1] == 2:  # one decision, two classes
            want = np.stack([-want, want], axis=1)
        want = want.reshape(got.shape)
        if got.dtype == object or want.dtype == object or got.dtype == np.int64:
            worst = max(worst, 0.0 if (got.astype(str) == want.astype(str)).all() else math.inf)
            continue
        got, want = got.astype(float), want.astype(float)
        if (np.isnan(got) != np.isnan(want)).any():
            return math.inf
        worst = max(worst, float(np.nanmax(np.abs(got - want) / np.maximum(1, np.abs(want)), initial=0)))
    return worst


def tensor(name: str, values: np.ndarray) -> dict:
    kind = TYPES.get(values.dtype, "string")
    return {"name": name, "type": kind, "shape": list(values.shape), "data": [plain(v, kind) for v in values.ravel()]}


def plain(value, kind: str):
    if kind == "string":
        return str(value)
    if kind == "int64":
        return int(value)
    value = float(value)
    return value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


if __name__ == "__main__":
    main()
