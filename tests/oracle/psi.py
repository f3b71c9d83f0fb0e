"""What the population stability index of some columns is, computed without Tidemill.

    python3 tests/oracle/psi.py > tests/oracle/psi.json

For each case: the values of the training set, the live values, and the index. `null` is missing, "NaN" is NaN.

psi = sum over bins of (live - training) * ln(live / training), of shares of at least 1e-4 of all rows.
Numbers: the bins end with the distinct values v_k = the smallest training value that at least k tenths of the training
values do not exceed, k = 1..9; the last has no end. Where v_1 is the smallest of all, one more bin lies below it.
Texts: the 20 most frequent (ties by name), then all others. Booleans: false, true. Always one more for what is missing.
"""

import json
import math
import random

EPSILON = 1e-4


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def binner(training):
    there = [value for value in training if value is not None]
    if all(isinstance(value, bool) for value in there):
        return lambda value: "missing" if value is None else value
    if any(isinstance(value, str) and value != "NaN" for value in there):
        counts = {value: there.count(value) for value in set(there)}
        listed = sorted(counts, key=lambda value: (-counts[value], value))[:20]
        return lambda value: "missing" if value is None else value if value in listed else "other"
    numbers = sorted(value for value in there if is_number(value))
    ends = set()
    for k in range(1, 10):
        # The smallest value that is at rank k/10 or above it, counted in whole numbers.
        rank = -(-k * len(numbers) // 10)
        ends.add(numbers[rank - 1])
    if min(ends) == numbers[0]:
        ends.add(math.nextafter(numbers[0], -math.inf))
    ends = sorted(ends)

    def place(value):
        if not is_number(value):
            return "missing"
        return next((at for at, end in enumerate(ends) if value <= end), len(ends))

    return place


def psi(training, live):
    place = binner(training)
    bins = {place(value) for value in training} | {place(value) for value in live}
    total = 0.0
    for one in bins:
        share = lambda side: max(sum(place(value) == one for value in side) / len(side), EPSILON)
        total += (share(live) - share(training)) * math.log(share(live) / share(training))
    return total


def cases():
    random.seed(20131224)
    whole = lambda count, low, high: [random.randint(low, high) for _ in range(count)]
    carriers = ["UA", "AA", "B6", "DL", "EV", "MQ"] + [f"X{n}" for n in range(30)]
    weights = [30, 20, 18, 12, 10, 5] + [0.2] * 30
    gapped = lambda count, share, low, high: [
        None if random.random() < share else random.randint(low, high) for _ in range(count)
    ]
    same = whole(1000, 0, 100)
    yield "the same rows", same, same
    yield "the same distribution", whole(2000, 0, 100), whole(500, 0, 100)
    yield "shifted", whole(1000, 0, 100), whole(700, 40, 140)
    yield "under all", whole(300, 10, 20), whole(300, -20, -10)
    rain = [0] * 950 + whole(50, 1, 40)
    yield "mostly zero", rain, [0] * 400 + whole(100, 1, 40)
    yield "mostly zero, and below it", rain, [0] * 450 + [-1] * 50
    yield "always one value", [5] * 200, [5] * 150 + [6] * 50
    yield "more is missing", gapped(1000, 0.02, 0, 60), gapped(1000, 0.3, 0, 60)
    yield "NaN counts as missing", whole(300, 0, 50) + ["NaN"] * 20, whole(200, 0, 50) + ["NaN"] * 200
    yield "halves", [value / 2 for value in whole(800, 0, 60)], [value / 2 for value in whole(800, 20, 60)]
    yield "texts", random.choices(carriers, weights, k=3000), random.choices(carriers, weights[::-1], k=900)
    yield "a text that was not there", ["a"] * 90 + ["b"] * 10, ["a"] * 50 + ["c"] * 50
    yield "booleans", [True] * 200 + [False] * 800, [True] * 50 + [False] * 40 + [None] * 10


print(
    json.dumps(
        [{"case": name, "training": a, "live": b, "psi": psi(a, b)} for name, a, b in cases()],
        separators=(",", ":"),
    )
)
