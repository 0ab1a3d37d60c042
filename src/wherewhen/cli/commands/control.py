"""Change a running service: cameras on, off or silent, a new view, verdicts, the model, messages sent again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherewhen.cli.needs import Need
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``control``.

    Args:
        action: enable or disable a camera, snooze it (no alerts for a time), accept its view after it was moved,
            give a verdict on an alert, promote a run of learn, which its cameras change to, rollback to the one
            before, or resend the messages that a sink refused.
        name: name of the camera; verdict: id of the alert; promote, rollback: run folder of learn; resend: the sink.
        store: folder of the store of ``watch``; default: live.
        minutes: how long no alerts are sent; 0 ends it.
        zone: only alerts of this zone are silent.
        verdict: true, false, wrong_place, missed or unsure.
        json: print what was done as JSON instead of text.
        quiet: only warnings and errors in the log.
    """

    action: Literal["enable", "disable", "snooze", "accept", "verdict", "promote", "rollback", "resend"]
    name: str
    store: str = "live"
    minutes: float = 60.0
    zone: str | None = None
    verdict: str | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Write it into the database of the service, which does it within a second or two."""
    import time
    from pathlib import Path

    from wherewhen.core.console import print_json
    from wherewhen.core.errors import ConfigError
    from wherewhen.live import control
    from wherewhen.live.database import Database
    from wherewhen.live.overview import opened
    from wherewhen.review.judged import VERDICTS

    with opened(Path(options.store)):
        pass  # it is a store
    database, now = Database(Path(options.store)), time.time()
    try:
        if options.action == "verdict":
            if options.verdict is None:
                raise ConfigError(f"control verdict needs --verdict: {', '.join(VERDICTS)}")
            control.judge(database, options.name, options.verdict, now)
            line = f"alert {options.name}: {options.verdict}"
        elif options.action == "resend":
            line = f"{options.name}: {database.resend(options.name)} messages are sent again"
        elif options.action in ("promote", "rollback"):
            line = f"{options.name}: {control.change_model(database, options.action, options.name, now)}"
        else:
            name, value = {
                "enable": ("enabled", "ON"), "disable": ("enabled", "OFF"), "accept": ("rebaseline", None),
                "snooze": ("suspend", {"minutes": options.minutes, "zone": options.zone}),
            }[options.action]  # fmt: skip
            line = f"{options.name}: {control.obey(database, options.name, name, value, now)}"
    finally:
        database.close()
    if options.json:
        print_json({"done": line})
    else:
        print(line)
    return 0


VERB = Verb(
    "start",
    Options,
    run,
    places=("store",),
    needs=(Need(("minutes", "zone"), "action", ("snooze",)), Need(("verdict",), "action", ("verdict",))),
)
