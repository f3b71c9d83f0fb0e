#!/usr/bin/env python3
"""The reference for the card-payment demo: every payment's features, in plain Python.

Reads demo/cards/customers.ndjson and payments.ndjson, writes tests/oracle/cards.ndjson, one object a payment in
their order: payment_id, status_customer (present or not_found), and the features `payment.*`, null where the
server's value is null.

    python tests/oracle/cards.py
"""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DEMO = REPO / "demo" / "cards"
OUT = Path(__file__).with_suffix(".ndjson")

EARTH_RADIUS_KM = 6371.0088
IN_EUR = {"EUR": 1.0, "USD": 0.92, "GBP": 1.17, "JPY": 0.0061, "CHF": 1.04}
CATEGORIES = ["grocery", "fuel", "travel", "restaurant", "online", "gambling", "other"]
NOBODY = dict.fromkeys(["home_lat", "home_lon", "utc_offset_minutes", "mean_amount_eur"])


def write() -> None:
    customers = {row["customer_id"]: row for row in rows("customers")}
    answers = [answer(payment, customers) for payment in rows("payments")]
    OUT.write_text("".join(json.dumps(a, separators=(",", ":")) + "\n" for a in answers))
    print(f"{OUT.relative_to(REPO)}: {len(answers)} rows, {OUT.stat().st_size:,} bytes")


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (DEMO / f"{name}.ndjson").read_text().splitlines()]


def answer(payment: dict, customers: dict) -> dict:
    found = customers.get(payment["customer_id"])
    customer = found or NOBODY
    amount_eur = payment["amount"] * IN_EUR[payment["currency"]]
    mean = customer["mean_amount_eur"]
    hour = local_hour(payment["at"], customer["utc_offset_minutes"])
    return {
        "payment_id": payment["payment_id"],
        "status_customer": "present" if found else "not_found",
        "payment.amount_eur": amount_eur,
        **{f"payment.is_{category}": payment["category"] == category for category in CATEGORIES},
        "payment.is_night": hour < 6 or hour >= 22,
        "payment.km_from_home": km(customer["home_lat"], customer["home_lon"], payment["lat"], payment["lon"]),
        "payment.ratio_to_mean": None if mean is None or mean <= 0 else amount_eur / mean,
    }


def local_hour(at: str, utc_offset_minutes: int | None) -> int:
    """The hour at the customer's home; UTC where the offset is not known."""
    moment = datetime.fromisoformat(at).astimezone(timezone.utc)
    return (moment + timedelta(minutes=utc_offset_minutes or 0)).hour


def km(lat1, lon1, lat2, lon2) -> float | None:
    """Haversine distance."""
    if None in (lat1, lon1, lat2, lon2):
        return None
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    dphi, dlam = math.radians(lat2 - lat1), math.radians(lon2 - lon1)
    a = math.sin(dphi / 2) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(dlam / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(a)))


if __name__ == "__main__":
    write()
