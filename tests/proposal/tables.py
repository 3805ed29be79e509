"""Files as people have them, each of another kind."""

from pathlib import Path

import numpy as np
import pandas as pd


def prices(rows: int = 1200) -> pd.DataFrame:
    """Hourly prices whose level moves, and a forecast of load; headers have blanks around them."""
    rng, hours = np.random.default_rng(0), np.arange(rows)
    load = 40 + 5 * np.sin(2 * np.pi * hours / 24) + rng.normal(size=rows)
    level = np.repeat(rng.normal(scale=20, size=rows // 100 + 1), 100)[:rows]
    price = level + load + rng.normal(size=rows)
    time = pd.date_range("2024-01-01", periods=rows, freq="h")
    return pd.DataFrame({
        "date": time.strftime("%Y/%m/%d %H:%M"), " Load forecast": load,
        " Wind": rng.normal(size=rows), "price": price, "currency": "EUR", "unit": 1,
    })  # fmt: skip


def runs(folder: Path, count: int = 12) -> str:
    """Write ragged runs of a test stand, and return their glob."""
    for number in range(count):
        rng, rows = np.random.default_rng(number), 150 + 30 * number
        current = np.convolve(rng.normal(size=rows + 20), np.ones(20), mode="valid")[:rows]
        frame = pd.DataFrame({
            "t": np.arange(rows) * 0.01, "I_ref": current,
            "B": np.convolve(current, [0.3, 0.7])[:rows],
            "temperature": 20 + number + 0.1 * rng.normal(size=rows), "rig": f"rig {number % 2}",
        })  # fmt: skip
        frame.to_parquet(folder / f"run_{number:02}.parquet")
    return str(folder / "run_*.parquet")


def panel(rows: int = 90, future: int = 7) -> pd.DataFrame:
    """Daily sales of shops: discounts are planned beyond the last sale; rows of shops are mixed."""
    rng, tables = np.random.default_rng(1), []
    for shop in range(6):
        sales = 10.0 ** (shop % 3) * (3 + rng.normal(size=rows + future))
        sales[rows:] = np.nan
        visitors = rng.normal(size=rows + future)
        visitors[rows:] = np.nan
        visitors[3] = np.nan
        tables.append(
            pd.DataFrame({
                "day": pd.date_range("2024-01-01", periods=rows + future), "shop": f"s{shop}",
                "discount": rng.integers(0, 2, rows + future), "visitors": visitors, "sales": sales,
                "weather_code": rng.integers(1, 5, rows + future),
                "city": "north" if shop % 2 else "south", "area": 50.0 * (shop + 1),
                "notes": [f"{shop} {n}" for n in range(rows + future)],
            })
        )  # fmt: skip
    return pd.concat(tables).sample(frac=1, random_state=0, ignore_index=True)
