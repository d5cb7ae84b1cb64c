"""What Prolific is given (draft study, one URL a worker, budget, checklist) and what it gives back (its export)."""

from __future__ import annotations

import math
import re
from pathlib import Path
from urllib.parse import urlencode

import jinja2

from speechbase.files import UserError
from speechbase.texts import read_table

READING_S = 120  # consent and instructions
PAGE_S = 2
RATING_S = 3
# States of a submission, in capitals with single blanks: exports write "Timed out", "TIMED-OUT" and "TIMED_OUT" alike
COUNTED = ("APPROVED", "AWAITING REVIEW", "PARTIALLY APPROVED")
GONE = ("RETURNED", "TIMED OUT", "REJECTED", "SCREENED OUT")
AT_WORK = ("ACTIVE", "RESERVED", "UNSUBMITTED")


def minutes_needed(settings: dict, mean_clip_s: float) -> float:
    """Estimated minutes of one participant: reading, then every clip once, 3 s a rating and 2 s a page."""
    if settings["pay"].get("minutes"):
        return settings["pay"]["minutes"]
    players = 2 if settings["reference"] else 1
    sample_s = players * mean_clip_s + RATING_S * len(settings["scales"]) + PAGE_S
    return math.ceil((READING_S + settings["samples"] * sample_s) / 60)


def budget(settings: dict, minutes: float) -> dict:
    """Reward for one, and the cost of all, in the study's currency; the reward is rounded up to a cent."""
    pay = settings["pay"]
    reward_cents = math.ceil(round(pay["per_hour"] * 100 * minutes / 60, 6))
    rewards = settings["workers"] * reward_cents / 100
    fee = rewards * pay["fee_percent"] / 100
    vat = fee * pay["vat_percent"] / 100
    return {
        "currency": pay["currency"],
        "per_hour": pay["per_hour"],
        "minutes": minutes,
        "reward_cents": reward_cents,
        "workers": settings["workers"],
        "rewards": round(rewards, 2),
        "fee": round(fee, 2),
        "vat": round(vat, 2),
        "total": round(rewards + fee + vat, 2),
        "note": "The fee and the tax are settings (pay.fee_percent, pay.vat_percent): compare them with your "
        "account at launch.",
    }


def list_url(settings: dict, token: str) -> str:
    """The URL of one list; Prolific fills in the participant, the study and the submission."""
    names = {"participant": "PROLIFIC_PID", "session": "SESSION_ID", "study": "STUDY_ID", "list": "list"}
    names |= settings["hosting"].get("parameters", {})
    placeholders = "&".join(
        f"{names[key]}={{{{%{value}%}}}}"
        for key, value in (("participant", "PROLIFIC_PID"), ("study", "STUDY_ID"), ("session", "SESSION_ID"))
    )
    return f"{settings['hosting']['url'].rstrip('/')}/?{urlencode({names['list']: token})}&{placeholders}"


def taskflow_csv(settings: dict, tokens: list[str]) -> str:
    """Taskflow's upload: a URL and its places in each line, so that every list goes to exactly one worker."""
    return "".join(f"{list_url(settings, token)},1\n" for token in tokens)


def draft(settings: dict, cost: dict, tokens: list[str], codes: dict[str, str]) -> dict:
    """The body of "create a draft study" of Prolific's API, as a Taskflow study."""
    return {
        "name": settings["title"],
        "internal_name": f"listening study {settings['study']}",
        "description": (
            f"You will listen to {settings['samples']} short speech recordings and rate them. Please use headphones "
            f"in a quiet place. It takes about {cost['minutes']:.0f} minutes."
        ),
        "prolific_id_option": "url_parameters",
        "access_details": [{"external_url": list_url(settings, token), "total_allocation": 1} for token in tokens],
        "data_collection_metadata": {"allocation_strategy": "deallocated_first_round_robin"},
        "completion_codes": [
            {"code": codes["completed"], "code_type": "COMPLETED", "actions": [{"action": "MANUALLY_REVIEW"}]},
            {"code": codes["no_consent"], "code_type": "NO_CONSENT", "actions": [{"action": "REQUEST_RETURN"}]},
        ],
        "total_available_places": settings["workers"],
        "estimated_completion_time": math.ceil(cost["minutes"]),
        "maximum_allowed_time": 3 * math.ceil(cost["minutes"]) + 10,
        "reward": cost["reward_cents"],
        "device_compatibility": ["desktop", "tablet", "mobile"],
        "peripheral_requirements": ["audio"],
        "filters": [{"filter_id": "first-language", "selected_values": ["English"]}],
    }


def checklist(settings: dict, cost: dict, spares: int, preregistration: str) -> str:
    """What a person does between the export and the results, as Markdown."""
    consent = settings["consent"]
    return (
        templates()
        .get_template("checklist.md.j2")
        .render(
            study=settings["study"],
            folder=f"results/listening/{settings['study']}",
            blank=[f"`consent.{key}`" for key in ("researcher", "institution", "contact") if not consent[key]],
            preregistration=preregistration,
            url=settings["hosting"]["url"],
            endpoint=settings["hosting"]["endpoint"]["kind"],
            reward=cost["reward_cents"] / 100,
            spares=spares,
            retention_days=consent["retention_days"],
            fee_percent=settings["pay"]["fee_percent"],
            **{key: cost[key] for key in ("currency", "minutes", "per_hour", "total")},
        )
    )


def consent_text(settings: dict, cost: dict) -> str:
    """The consent page, as Markdown paragraphs."""
    facts = {key: cost[key] for key in ("currency", "minutes")} | {"samples": settings["samples"], "ethics": ""}
    template = templates().get_template("consent.md.j2")
    return template.render(facts | settings["consent"] | {"reward": cost["reward_cents"] / 100})


def templates() -> jinja2.Environment:
    """The room's templates; HTML is escaped, a missing value is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


COLUMNS = {
    "participant": ("participant id", "participant_id"),
    "session": ("submission id", "submission_id", "session_id", "id"),
    "status": ("status",),
    "seconds": ("time taken", "time_taken"),
    "code": ("completion code", "completion_code", "entered code", "entered_code", "study_code"),
}


def read_export(path: Path) -> list[dict]:
    """Prolific's export as rows of participant, session, status (folded), seconds (None where unknown) and code.

    Raises:
        UserError: missing file or columns (both the web export's and the API's names are known), or a submission that
            is listed twice in different ways.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; download the study's export from Prolific and save it there.")
    try:
        rows = [{name.lower(): cell for name, cell in row.items()} for row in read_table(path)]
    except UserError as error:
        raise UserError(f"{error} Is it Prolific's export? Download it again and do not re-save it.") from None
    columns = {
        field: next((name for name in known if rows and name in rows[0]), None) for field, known in COLUMNS.items()
    }
    if not rows or not all(columns[field] for field in ("participant", "session", "status")):
        raise UserError(
            f"{path} has no rows with the columns Submission id, Participant id and Status; is it Prolific's export?"
        )
    found = [{field: row[name] if name else "" for field, name in columns.items()} for row in rows]
    by_session: dict[str, dict] = {}
    for cells in found:
        row: dict = {**cells, "status": _state(cells["status"]), "seconds": seconds_of(cells["seconds"])}
        first = by_session.setdefault(cells["session"], row)
        if any(first[name] != row[name] for name in ("participant", "status")):
            raise UserError(
                f"{path} lists the submission {row['session']} twice, and not in the same way: download it again."
            )
    return list(by_session.values())


def _state(text: str) -> str:
    return " ".join(re.sub(r"[-_]", " ", text).upper().split())


def seconds_of(text: str) -> float | None:
    """A time as exports write it, 602 or 602,5 seconds or 10:02 or 00:10:02, in seconds; None where it is
    unreadable, or could be read in two ways (1,002)."""
    if re.fullmatch(r"\d{1,3},\d{3}", text):
        return None
    if re.fullmatch(r"\d{1,9}([.,]\d{1,9})?", text):
        return float(text.replace(",", "."))
    if match := re.fullmatch(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)", text):
        hours, minutes, seconds = match.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds)
    return None
