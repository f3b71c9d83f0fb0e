#!/usr/bin/env python3
"""Generate the card-payment demo: customers and their payments. Invented, seeded, no person behind any of it.

Writes, beside this script, one JSON object a line:

    customers.ndjson    the feature view: customer_id, home_lat, home_lon, utc_offset_minutes, mean_amount_eur
                        (each of the four may be null; a mean may be 0: a customer who has not paid yet), updated_at
    payments.ndjson     the requests, in the order of `at`: payment_id, customer_id (some are of no customer),
                        amount, currency, category, at, lat, lon (null where the terminal does not tell, as online)

and last runs tests/oracle/cards.py, which computes the expected features.

    python demo/cards/generate.py
"""

from __future__ import annotations

import json
import runpy
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]

CUSTOMERS, PAYMENTS = 300, 500
FIRST_PAYMENT = datetime(2025, 3, 28, tzinfo=timezone.utc)
CITIES = {  # latitude, longitude, UTC offset in minutes, currency
    "Berlin": (52.52, 13.405, 60, "EUR"),
    "Lisbon": (38.7223, -9.1393, 0, "EUR"),
    "London": (51.5072, -0.1276, 0, "GBP"),
    "New York": (40.7128, -74.006, -300, "USD"),
    "Honolulu": (21.3069, -157.8583, -600, "USD"),
    "St John's": (47.5615, -52.7126, -210, "USD"),
    "Tokyo": (35.6762, 139.6503, 540, "JPY"),
    "Suva": (-18.1248, 178.4501, 720, "USD"),
    "Zürich": (47.3769, 8.5417, 60, "CHF"),
    "Kathmandu": (27.7172, 85.324, 345, "USD"),
}
IN_EUR = {"EUR": 1.0, "USD": 0.92, "GBP": 1.17, "JPY": 0.0061, "CHF": 1.04}
CATEGORIES = {"grocery": 0.34, "restaurant": 0.2, "online": 0.18, "fuel": 0.1, "travel": 0.08, "other": 0.07, "gambling": 0.03}


def main() -> None:
    rng = np.random.default_rng(2025)
    customers = [customer(rng, n) for n in range(CUSTOMERS)]
    moments = FIRST_PAYMENT.timestamp() + np.sort(rng.uniform(0, 5 * 86_400, PAYMENTS))
    payments = [payment(rng, n, float(at), customers) for n, at in enumerate(moments)]
    for c in customers:
        del c["city"]
    write("customers", customers)
    write("payments", payments)
    runpy.run_path(str(REPO / "tests" / "oracle" / "cards.py"))["write"]()


def customer(rng, n: int) -> dict:
    city = str(rng.choice(list(CITIES)))
    lat, lon, offset, _ = CITIES[city]
    has_home, has_offset, mean = rng.random() < 0.95, rng.random() < 0.93, rng.random()
    updated = FIRST_PAYMENT - timedelta(seconds=int(rng.integers(3_600, 40 * 86_400)))
    return {
        "city": city,
        "customer_id": f"c-{n:04}",
        "home_lat": round(lat + rng.normal(0, 0.1), 4) if has_home else None,
        "home_lon": round(lon + rng.normal(0, 0.1), 4) if has_home else None,
        "utc_offset_minutes": offset if has_offset else None,
        "mean_amount_eur": None if mean < 0.05 else 0.0 if mean < 0.08 else round(float(rng.lognormal(3.4, 0.7)), 2),
        "updated_at": updated.isoformat().replace("+00:00", "Z"),
    }


def payment(rng, n: int, at: float, customers: list[dict]) -> dict:
    known = rng.random() < 0.92
    payer = customers[int(rng.integers(len(customers)))]
    abroad = rng.random() < 0.15
    lat, lon, offset, currency = CITIES[str(rng.choice(list(CITIES))) if abroad else payer["city"]]
    category = str(rng.choice(list(CATEGORIES), p=list(CATEGORIES.values())))
    amount = float(rng.lognormal(5.5 if category == "travel" else 3.2, 0.9)) / IN_EUR[currency]
    placed = category != "online" and rng.random() < 0.97
    # Terminals write their own offset, some to the second and some finer; the moment is what counts.
    zone = timezone.utc if rng.random() < 0.5 else timezone(timedelta(minutes=offset))
    moment = datetime.fromtimestamp(at, timezone.utc)
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000 if rng.random() < 0.2 else 0)
    return {
        "payment_id": f"p-{n:04}",
        "customer_id": payer["customer_id"] if known else f"x-{int(rng.integers(10_000)):04}",
        "amount": round(amount) + 1 if currency == "JPY" else round(amount, 2),
        "currency": currency,
        "category": category,
        "at": moment.astimezone(zone).isoformat().replace("+00:00", "Z"),
        "lat": round(lat + rng.normal(0, 0.2), 4) if placed else None,
        "lon": round(lon + rng.normal(0, 0.2), 4) if placed else None,
    }


def write(name: str, rows: list[dict]) -> None:
    path = HERE / f"{name}.ndjson"
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    print(f"{path.relative_to(REPO)}: {len(rows)} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
