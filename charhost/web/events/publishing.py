"""The events of a server: its reloads, its states and its figures."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from charhost.character.character import CharacterSet
from charhost.reload.attempt import Attempt
from charhost.report import Changes, Frozen, PathText, ReloadReport, Trigger
from charhost.web.events.figures import Figures
from charhost.web.keys import FEED, FIGURES, MODELS, SESSIONS, SETS


class ReloadStarted(Frozen):
    """A reload that has begun."""

    reload_id: str
    since: str
    set: str
    trigger: Trigger
    directory: PathText


class CharactersChanged(Frozen):
    """The characters of a set were replaced."""

    set: str
    generation: int
    revision: str
    changes: Changes


def states(app: web.Application) -> dict[str, object]:
    """Return the states that a client is sent at the beginning, and when they change."""
    watcher = app[SETS].default.watcher
    return {
        "sets": [named.name for named in app[SETS]],
        "sessions": app[SESSIONS].by_generation(),
        "watcher": watcher.status if watcher else None,
        "model": app[MODELS].selection.description,
    }


async def publishing(app: web.Application) -> AsyncIterator[None]:
    """Publish reloads and states while the application runs."""
    app[SETS].listen(partial(_publish, app), partial(_publish_start, app))
    task = asyncio.create_task(app[FIGURES].run(partial(_show, app)))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _publish_start(app: web.Application, attempt: Attempt, name: str) -> None:
    order = attempt.order
    started = ReloadStarted(
        reload_id=attempt.reload_id,
        set=name,
        trigger=order.trigger,
        directory=attempt.directory,
        since=attempt.started_at,
    )
    app[FEED].publish("reload.started", started)


def _publish(app: web.Application, report: ReloadReport, _: CharacterSet) -> None:
    app[FEED].publish("reload.ended", report)
    if report.outcome == "applied":
        changed = CharactersChanged(
            set=report.set, generation=report.generation, revision=report.revision, changes=report.changes
        )
        app[FEED].publish("characters.changed", changed)


def _show(app: web.Application, figures: Figures) -> None:
    if len(app[FEED]):  # the first reader that comes brings the states up to date
        app[FEED].show_changes(states(app))
        app[FEED].show("figures", figures)
