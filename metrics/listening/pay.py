"""Pay is apart from use: everyone who finished is approved, whatever the rules say about their ratings."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

from metrics.listening import prolific
from metrics.listening.analyse import read_imported
from metrics.listening.prepare import frozen, table
from metrics.listening.store import hashed
from speechbase.files import read_json, write_json, write_text


def pay_study(out: Path, *, simulated: bool = False) -> dict:
    """Write pay/approve.csv, review.csv, top_up.csv and pay.json, which it returns.

    Raises:
        UserError: nothing imported, or no export of Prolific.
    """
    settings, _ = frozen(out)
    folder = out / "simulated" if simulated else out
    cost = read_json(out / "private" / "budget.json")
    _, raters = read_imported(folder)
    key = bytes.fromhex((out / "private" / "secret").read_text(encoding="ascii").strip())
    trials = dict(zip(raters["session"], raters["trials"], strict=True))
    export = prolific.read_export((folder if simulated else out / "private") / "prolific_export.csv")
    present = [row for row in export if row["status"] not in prolific.GONE]
    complete = [
        row
        for row in present
        if row["status"] in prolific.COUNTED
        and trials.get(hashed(key, "session", row["session"]), 0) >= settings["samples"]
    ]
    review = [row for row in present if row not in complete]
    times = [row["seconds"] / 60 for row in complete if row["seconds"]]
    summary = rates(settings, cost["reward_cents"], times) | {"complete": len(complete), "to_review": len(review)}
    bonus = summary["top_up_cents"]
    # Ids of submissions are Prolific's: these files stay with the private ones.
    target = (folder if simulated else out / "private") / "pay"
    write_text(target / "approve.csv", "".join(f"{row['session']}\n" for row in complete))
    reasons = [{"submission": row["session"], "why": _why(row, trials, key)} for row in review]
    write_text(target / "review.csv", table(reasons) if reasons else "submission,why\n")
    write_text(
        target / "top_up.csv", "".join(f"{row['session']},{bonus / 100:.2f}\n" for row in complete) if bonus else ""
    )
    write_json(target / "pay.json", summary)
    return summary


def rates(settings: dict, reward_cents: int, minutes: list[float]) -> dict:
    """The hourly rate that the median participant got, what is wrong with it, and the top-up that mends it.

    Args:
        minutes: time of each complete submission.
    """
    pay = settings["pay"]
    if not minutes:
        return {"median_minutes": None, "per_hour": None, "alerts": ["no times known"], "top_up_cents": 0}
    median = statistics.median(minutes)
    rate = reward_cents / 100 * 60 / median
    limits = {
        "minimum_per_hour": "the platform's minimum",
        "recommended_per_hour": "the platform's recommendation",
        "per_hour": "what was promised",
    }
    alerts = [
        f"below {name} of {pay[limit]} {pay['currency']}/h"
        for limit, name in limits.items()
        if rate < pay[limit] - 0.005
    ]
    missing = max(0, math.ceil(round(pay["per_hour"] * 100 * median / 60 - reward_cents, 6)))
    return {
        "median_minutes": round(median, 2),
        "reward_cents": reward_cents,
        "per_hour": round(rate, 2),
        "currency": pay["currency"],
        "alerts": alerts,
        "top_up_cents": missing,
        "top_up_total": round(missing * len(minutes) / 100, 2),
    }


def _why(row: dict, trials: dict, key: bytes) -> str:
    if row["status"] not in prolific.COUNTED:
        return f"its status is {row['status'] or 'empty'}: decide on Prolific's page"
    done = trials.get(hashed(key, "session", row["session"]))
    return "no answers arrived" if done is None else f"{done} answers only; ask for a return, or pay and keep them out"
