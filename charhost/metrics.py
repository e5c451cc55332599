"""Metrics: a table of everything that `/metrics` shows."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from charhost.report import ReloadReport

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def _counter(name: str, text: str, *labels: str) -> Any:
    return lambda registry: Counter(name, text, labels, namespace="charhost", registry=registry)


def _gauge(name: str, text: str) -> Any:
    return lambda registry: Gauge(name, text, namespace="charhost", registry=registry)


def _seconds(name: str, text: str) -> Any:
    return lambda registry: Histogram(
        f"{name}_seconds", text, namespace="charhost", registry=registry, buckets=_SECONDS
    )


class Metrics:
    """The metrics of one application, in a registry of its own: a process may have several applications.

    The class has a factory under the name of each metric; an instance has the metric itself.
    """

    load_count: Counter = _counter("character_load_count", "Characters loaded successfully.")
    load_errors: Counter = _counter("character_load_errors", "Character files that failed.", "error_type")
    load_duration: Histogram = _seconds("character_load_duration", "Time to load all characters of a directory.")
    characters_loaded: Gauge = _gauge("characters_loaded", "Characters in the current set.")
    last_successful: Gauge = _gauge(
        "last_reload_successful", "1 if the last reload did everything it was asked for, else 0."
    )
    last_success: Gauge = _gauge("last_reload_success_timestamp_seconds", "Unix time of the last successful reload.")
    reloads: Counter = _counter("reloads", "Reloads by trigger and outcome.", "trigger", "outcome")
    history_errors: Counter = _counter("history_errors", "Reloads that could not be recorded in the history.")
    conversation_errors: Counter = _counter(
        "conversation_errors", "Failed reads and writes of conversations in the state file."
    )
    generation: Gauge = _gauge("generation", "Number of the current set; rises by one at every swap.")
    builds_alive: Gauge = _gauge("builds_alive", "Loaded sets whose modules are still referenced.")
    threads_stuck: Gauge = _gauge("threads_stuck", "Threads that still run after their deadline.")

    sessions_active: Gauge = _gauge("sessions_active", "Open WebSocket sessions.")
    sessions_closed: Counter = _counter("sessions_closed", "Sessions that ended, by reason.", "reason")
    sessions_followed: Counter = _counter(
        "sessions_followed", "Sessions that continued with a new version of their character."
    )
    sessions_drained: Counter = _counter(
        "sessions_drained", "Sessions that a reload closed after their current response."
    )
    sessions_cut: Counter = _counter("sessions_cut", "Sessions that were closed during a response.")
    sessions_resumed: Counter = _counter("sessions_resumed", "Sessions that a client resumed.")
    sessions_resume_refused: Counter = _counter(
        "sessions_resume_refused", "Resume attempts for unknown or expired sessions."
    )
    sessions_parked: Gauge = _gauge("sessions_parked", "Disconnected sessions that can be resumed.")

    auth_failures: Counter = _counter("auth_failures", "Wrong keys, by the kind of key needed.", "kind")
    turns: Counter = _counter("turns", "Responses by interface and outcome.", "front_door", "outcome")
    time_to_first_token: Histogram = _seconds(
        "time_to_first_token", "Time from the request for a response to its first token."
    )
    turn_duration: Histogram = _seconds("turn_duration", "Time from the request for a response to its end.")
    tokens: Counter = _counter("tokens", "Tokens that models read and wrote.", "kind")
    tool_calls: Counter = _counter("tool_calls", "Calls of tools that the server runs.")
    tool_latency: Histogram = _seconds("tool_latency", "Duration of a tool call.")
    tool_errors: Counter = _counter("tool_errors", "Tool calls that failed.", "error_type")
    upstream_errors: Counter = _counter("upstream_errors", "Failed requests to models.", "error_type")

    watcher_up: Gauge = _gauge("watcher_up", "1 while the watcher notices changes of the directory, else 0.")
    watcher_held: Gauge = _gauge("watcher_held", "1 while the watcher ignores the directory until it changes, else 0.")
    watcher_reconciles: Counter = _counter(
        "watcher_reconciles", "Comparisons of the directory with the current set, by result.", "result"
    )
    watcher_restarts: Counter = _counter("watcher_restarts", "Restarts of the watcher after an error.")

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for name in Metrics.__annotations__:
            setattr(self, name, getattr(Metrics, name)(self.registry))

    def record(self, report: ReloadReport, executed: int, healthy: bool) -> None:
        """Count one reload, which executed *executed* characters; a dry run counts as a reload and nothing else."""
        self.reloads.labels(report.trigger, report.outcome).inc()
        if report.dry_run:
            return
        for error in report.errors:
            self.load_errors.labels(error.error_type).inc()
        self.last_successful.set(healthy)
        self.characters_loaded.set(report.serving.characters)
        self.generation.set(report.serving.generation)
        if report.success:
            self.load_count.inc(executed)
            self.load_duration.observe(report.load_duration)
        if healthy:
            self.last_success.set(time.time())
