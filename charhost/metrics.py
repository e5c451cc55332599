"""Metrics: a table of everything that `/metrics` shows."""

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from charhost.report import DEFAULT_SET, ReloadReport

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def _counter(text: str, *labels: str) -> Any:
    return lambda name, registry: Counter(name, text, labels, namespace="charhost", registry=registry)


def _gauge(text: str, *labels: str) -> Any:
    return lambda name, registry: Gauge(name, text, labels, namespace="charhost", registry=registry)


def _seconds(text: str, *labels: str) -> Any:
    return lambda name, registry: Histogram(
        f"{name}_seconds", text, labels, namespace="charhost", registry=registry, buckets=_SECONDS
    )


# The gauges that every set has; how those of the server, without a label, follow from them.
_OVERALL: dict[str, Callable[[dict[str, float]], float]] = {
    "characters_loaded": lambda values: sum(values.values()),
    "last_reload_successful": lambda values: min(values.values()),
    "generation": lambda values: values.get(DEFAULT_SET, 0),
    "watcher_up": lambda values: min(values.values()),
    "watcher_held": lambda values: max(values.values()),
}


class Metrics:
    """The metrics of one application, in a registry of its own: a process may have several applications.

    The class has a factory for each metric, which is `charhost_` and the attribute's name; an instance has the metric.
    """

    character_load_count: Counter = _counter("Characters loaded successfully.")
    character_load_errors: Counter = _counter("Character files that failed.", "error_type")
    character_load_duration: Histogram = _seconds("Time to load all characters of a directory.")
    character_metric_errors: Counter = _counter("Collectors of character files that failed and were left out.")
    characters_loaded: Gauge = _gauge("Characters that serve, in all sets.")
    last_reload_successful: Gauge = _gauge("1 if the last reload of every set did everything it was asked for, else 0.")
    last_reload_success_timestamp_seconds: Gauge = _gauge("Unix time of the last successful reload.")
    reloads: Counter = _counter("Reloads by trigger and outcome.", "trigger", "outcome")
    history_errors: Counter = _counter("Reloads that could not be recorded in the history.")
    conversation_errors: Counter = _counter("Failed reads and writes of conversations in the state file or the fleet.")
    conversation_write: Histogram = _seconds("Time to save what a turn added to a conversation in the fleet.")
    generation: Gauge = _gauge("Number of the current default set; rises by one at every swap.")
    builds_alive: Gauge = _gauge("Loaded sets whose modules are still referenced.")
    threads_stuck: Gauge = _gauge("Threads that still run after their deadline.")

    sessions_active: Gauge = _gauge("Open WebSocket sessions.")
    sessions_closed: Counter = _counter("Sessions that ended, by reason.", "reason")
    sessions_followed: Counter = _counter("Sessions that continued with a new version of their character.")
    sessions_drained: Counter = _counter("Sessions that a reload closed after their current response.")
    sessions_cut: Counter = _counter("Sessions that were closed during a response.")
    sessions_resumed: Counter = _counter("Sessions that a client resumed.")
    sessions_resume_refused: Counter = _counter("Resume attempts for unknown or expired sessions.")
    sessions_taken_over: Counter = _counter("Sessions that their client has resumed at another node of the fleet.")
    sessions_parked: Gauge = _gauge("Disconnected sessions that can be resumed.")

    readers_cut: Counter = _counter("Connections whose client took none of the data that waited for it.")
    memory_budget_bytes: Gauge = _gauge("Bytes that everything held for clients may take together.")
    memory_held_bytes: Gauge = _gauge("Bytes that are held for clients, by kind.", "kind")
    memory_refused: Counter = _counter("Requests and events that did not fit into the budget, by kind.", "kind")
    memory_given_up: Counter = _counter("Things kept for absent clients that were dropped to make room.", "kind")
    auth_failures: Counter = _counter("Wrong keys, by the kind of key needed.", "kind")
    turns: Counter = _counter("Responses by interface and outcome.", "front_door", "outcome")
    time_to_first_token: Histogram = _seconds("Time from the request for a response to its first token.")
    turn_duration: Histogram = _seconds("Time from the request for a response to its end.")
    tokens: Counter = _counter("Tokens that models read and wrote.", "kind")
    history_messages_cut: Counter = _counter(
        "Messages of long conversations that models were not sent, or only in part.", "how"
    )
    tool_calls: Counter = _counter("Calls of tools that the server runs.")
    tool_latency: Histogram = _seconds("Duration of a tool call.")
    tool_errors: Counter = _counter("Tool calls that failed.", "error_type")
    speech_latency: Histogram = _seconds(
        "Time from the end of a user's speech to the first sound of the answer, by stage and in total.", "stage"
    )
    speech_sound_seconds: Counter = _counter("Seconds of sound that were heard and spoken.", "direction")
    speech_interruptions: Counter = _counter("Responses that a user's speech interrupted.")
    speech_given_back: Counter = _counter("Interrupted responses that were given back, as nothing was said.")
    speech_truncations: Counter = _counter("Messages of which a client heard only a part, by its own account.")
    speech_errors: Counter = _counter("Failed requests to engines that speak or hear.", "engine", "error_type")
    upstream_errors: Counter = _counter("Failed requests to models.", "error_type")

    voices_unmapped: Gauge = _gauge("Characters that speak with another voice than their file asks for.")

    watcher_up: Gauge = _gauge("1 while every watcher notices changes of its directory, else 0.")
    watcher_held: Gauge = _gauge("1 while a watcher ignores its directory until it changes, else 0.")
    watcher_reconciles: Counter = _counter("Comparisons of a directory with its current set, by result.", "result")
    watcher_restarts: Counter = _counter("Restarts of a watcher after an error.")

    set_characters_loaded: Gauge = _gauge("Characters that serve, by set.", "set")
    set_last_reload_successful: Gauge = _gauge(
        "1 if the last reload of the set did everything it was asked for, else 0.", "set"
    )
    set_generation: Gauge = _gauge("Number of the current set; rises by one at every swap.", "set")
    set_watcher_up: Gauge = _gauge("1 while the watcher notices changes of the set's directory, else 0.", "set")
    set_watcher_held: Gauge = _gauge("1 while the watcher ignores the directory until it changes, else 0.", "set")
    set_watcher_reconciles: Counter = _counter("Comparisons of the set's directory, by result.", "set", "result")
    set_watcher_restarts: Counter = _counter("Restarts of the set's watcher after an error.", "set")

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for name in Metrics.__annotations__:
            setattr(self, name, getattr(Metrics, name)(name, self.registry))
        self._values: dict[str, dict[str, float]] = {gauge: {} for gauge in _OVERALL}

    def record(self, report: ReloadReport, executed: int, healthy: bool) -> None:
        """Count one reload, which executed *executed* characters; a dry run counts as a reload and nothing else."""
        self.reloads.labels(report.trigger, report.outcome).inc()
        if report.dry_run:
            return
        for error in report.errors:
            self.character_load_errors.labels(error.error_type).inc()
        self.gauge("last_reload_successful", report.set, healthy)
        self.gauge("characters_loaded", report.set, report.serving.characters)
        self.gauge("generation", report.set, report.serving.generation)
        if report.success:
            self.character_load_count.inc(executed)
            self.character_load_duration.observe(report.load_duration)
        if healthy:
            self.last_reload_success_timestamp_seconds.set(time.time())

    def gauge(self, gauge: str, name: str, value: float) -> None:
        """Set a gauge of the set called *name*, and that of the whole server."""
        self._values[gauge][name] = value
        getattr(self, f"set_{gauge}").labels(name).set(value)
        self._sum_up(gauge)

    def reconciled(self, name: str, result: str) -> None:
        self.watcher_reconciles.labels(result).inc()
        self.set_watcher_reconciles.labels(name, result).inc()

    def restarted_watcher(self, name: str) -> None:
        self.watcher_restarts.inc()
        self.set_watcher_restarts.labels(name).inc()

    def end_watcher(self, name: str) -> None:
        """Forget the gauges of a watcher that has ended."""
        self._drop(name, "watcher_up", "watcher_held")

    def end_set(self, name: str) -> None:
        """Forget the series of a set that was removed; the counters of the server keep its share."""
        self._drop(name, *_OVERALL)
        for counter in (self.set_watcher_reconciles, self.set_watcher_restarts):
            counter.remove_by_labels({"set": name})

    def _drop(self, name: str, *gauges: str) -> None:
        for gauge in gauges:
            if self._values[gauge].pop(name, None) is not None:
                getattr(self, f"set_{gauge}").remove(name)
                self._sum_up(gauge)

    def _sum_up(self, gauge: str) -> None:
        values = self._values[gauge]
        getattr(self, gauge).set(_OVERALL[gauge](values) if values else 0)


class FleetMetrics:
    """The metrics of a node of a fleet, in the registry of its server: `charhost_fleet_` and the attribute's name."""

    connected: Gauge = _gauge("1 while the engine of the fleet can be reached, else 0.")
    epoch: Gauge = _gauge("The epoch of the default set that this node serves.")
    register_epoch: Gauge = _gauge("The epoch of the default set that the register names.")
    behind_seconds: Gauge = _gauge("Seconds for which this node has not served what the register names.")
    nodes: Gauge = _gauge("Nodes that are alive, by the state of the default set, when this one last looked.", "state")
    rollouts: Counter = _counter("Rollouts that this node coordinated, by outcome.", "outcome")
    rollout: Histogram = _seconds("Time that rollouts of this node took, by stage and in total.", "stage")
    reconciles: Counter = _counter("Readings of the register: in sync, changed after a hint, or without one.", "result")
    bad_signatures: Counter = _counter("Records that were not signed with the key of the fleet.")
    engine_errors: Counter = _counter("Requests to the engine that failed, by operation.", "operation")
    condition_refusals: Counter = _counter(
        "Conditions of writes that were refused: written before, without a reason, or changed by another.",
        "kind",
    )

    def __init__(self, registry: CollectorRegistry) -> None:
        for name in FleetMetrics.__annotations__:
            setattr(self, name, getattr(FleetMetrics, name)(f"fleet_{name}", registry))

    def failed(self, operation: str) -> None:
        self.engine_errors.labels(operation).inc()

    def refused(self, kind: str) -> None:
        self.condition_refusals.labels(kind).inc()
