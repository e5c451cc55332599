"""Every counter, on a registry of its own: two servers in one process do not meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from charhost.report import ReloadReport

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """What `/metrics` shows; lives as long as the application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.load_count = self._counter("charhost_character_load_count", "Characters loaded successfully.")
        self.load_errors = self._counter(
            "charhost_character_load_errors", "Character files that failed.", ["error_type"]
        )
        self.load_duration = self._histogram(
            "charhost_character_load_duration_seconds", "Time to load all characters of a directory."
        )
        self.characters_loaded = self._gauge("charhost_characters_loaded", "Characters that serve now.")
        self.last_successful = self._gauge(
            "charhost_last_reload_successful", "1 if the last reload did all it was asked for, else 0."
        )
        self.last_success = self._gauge(
            "charhost_last_reload_success_timestamp_seconds", "Unix time of the last reload that succeeded."
        )
        self.reloads = self._counter(
            "charhost_reloads", "Reloads by what asked for them and how they ended.", ["trigger", "outcome"]
        )
        self.history_errors = self._counter(
            "charhost_history_errors", "Attempts to reload that could not be kept in the history."
        )
        self.conversation_errors = self._counter(
            "charhost_conversation_errors", "Times that conversations could not be written to the state file, or read."
        )
        self.generation = self._gauge("charhost_generation", "Rises by one at every swap.")
        self.builds_alive = self._gauge("charhost_builds_alive", "Builds whose modules something still holds.")
        self.threads_stuck = self._gauge("charhost_threads_stuck", "Threads past their deadline that do not end.")
        self.sessions_active = self._gauge("charhost_sessions_active", "Open WebSocket sessions.")
        self.sessions_closed = self._counter("charhost_sessions_closed", "Sessions that ended, by reason.", ["reason"])

        self.sessions_followed = self._counter(
            "charhost_sessions_followed", "Sessions that went on with a new version of their character."
        )
        self.sessions_drained = self._counter(
            "charhost_sessions_drained", "Sessions that a reload ended after the answer that was under way."
        )
        self.sessions_cut = self._counter(
            "charhost_sessions_cut", "Sessions that were ended in the middle of an answer."
        )
        self.sessions_resumed = self._counter("charhost_sessions_resumed", "Sessions that a client came back to.")
        self.sessions_resume_refused = self._counter(
            "charhost_sessions_resume_refused", "Clients that came back to no session."
        )
        self.sessions_parked = self._gauge("charhost_sessions_parked", "Conversations that wait for their client.")

        self.auth_failures = self._counter(
            "charhost_auth_failures", "Wrong keys, by what they were sent for.", ["kind"]
        )
        self.turns = self._counter(
            "charhost_turns", "Answers by where they were asked for and how they ended.", ["front_door", "outcome"]
        )
        self.time_to_first_token = self._histogram(
            "charhost_time_to_first_token_seconds", "Time from the question to the first piece of the answer."
        )
        self.turn_duration = self._histogram("charhost_turn_duration_seconds", "Time from the question to the end.")
        self.tokens = self._counter("charhost_tokens", "Tokens that models read and wrote.", ["kind"])
        self.tool_calls = self._counter("charhost_tool_calls", "Calls of tools that the server runs.")
        self.tool_latency = self._histogram("charhost_tool_latency_seconds", "Time that a call of a tool took.")
        self.tool_errors = self._counter("charhost_tool_errors", "Calls of tools that failed.", ["error_type"])
        self.upstream_errors = self._counter(
            "charhost_upstream_errors", "Answers that a model failed to give.", ["error_type"]
        )

        self.watcher_up = self._gauge("charhost_watcher_up", "1 while changes of the directory are noticed.")
        self.watcher_held = self._gauge("charhost_watcher_held", "1 while the watcher waits for the disk to change.")
        self.watcher_reconciles = self._counter(
            "charhost_watcher_reconciles", "Comparisons of the disk with what serves, by result.", ["result"]
        )
        self.watcher_restarts = self._counter("charhost_watcher_restarts", "How often the watcher had to begin again.")

    def watch(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Ask *value* whenever the gauge is read."""
        gauge.set_function(value)

    def record(self, report: ReloadReport, executed: int, healthy: bool) -> None:
        """Count one reload that made *executed* characters anew; of a dry run only that it happened."""
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

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=_SECONDS, registry=self.registry)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)
