"""The metrics."""

from __future__ import annotations

import time
from typing import Any

import prometheus_client
import pytest

from charhost.metrics import Metrics
from charhost.report import FileError
from tests.reports import report

NAMES = {
    "charhost_character_load_count",
    "charhost_character_load_errors",
    "charhost_character_load_duration_seconds",
    "charhost_character_metric_errors",
    "charhost_characters_loaded",
    "charhost_last_reload_successful",
    "charhost_last_reload_success_timestamp_seconds",
    "charhost_reloads",
    "charhost_generation",
    "charhost_history_errors",
    "charhost_conversation_errors",
    "charhost_conversation_write_seconds",
    "charhost_auth_failures",
    "charhost_memory_budget_bytes",
    "charhost_memory_given_up",
    "charhost_memory_held_bytes",
    "charhost_memory_refused",
    "charhost_readers_cut",
    "charhost_builds_alive",
    "charhost_threads_stuck",
    "charhost_sessions_active",
    "charhost_sessions_closed",
    "charhost_sessions_followed",
    "charhost_sessions_drained",
    "charhost_sessions_cut",
    "charhost_sessions_resumed",
    "charhost_sessions_resume_refused",
    "charhost_sessions_parked",
    "charhost_sessions_taken_over",
    "charhost_turns",
    "charhost_time_to_first_token_seconds",
    "charhost_turn_duration_seconds",
    "charhost_tokens",
    "charhost_history_messages_cut",
    "charhost_tool_calls",
    "charhost_tool_latency_seconds",
    "charhost_tool_errors",
    "charhost_speech_errors",
    "charhost_speech_given_back",
    "charhost_speech_interruptions",
    "charhost_speech_latency_seconds",
    "charhost_speech_sound_seconds",
    "charhost_speech_truncations",
    "charhost_upstream_errors",
    "charhost_voices_unmapped",
    "charhost_watcher_up",
    "charhost_watcher_held",
    "charhost_set_characters_loaded",
    "charhost_set_last_reload_successful",
    "charhost_set_generation",
    "charhost_set_watcher_up",
    "charhost_set_watcher_held",
    "charhost_set_watcher_reconciles",
    "charhost_set_watcher_restarts",
    "charhost_watcher_reconciles",
    "charhost_watcher_restarts",
}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return the value of a metric."""
    return metrics.registry.get_sample_value(name, labels)


def refused(**fields: Any) -> Any:
    """Return the report of a reload that changed nothing."""
    return report(success=False, outcome="rejected", **fields)


def test_the_names_are_those_that_operators_know() -> None:
    """The metrics have their documented names, and there are no others."""
    assert {family.name for family in Metrics().registry.collect()} == NAMES


def test_every_metric_explains_itself() -> None:
    """Each metric has a sentence as its help text."""
    assert all(family.documentation.endswith(".") for family in Metrics().registry.collect())


def test_two_registries_do_not_meet() -> None:
    """Each application has counters of its own, and the registry of the process none."""
    ours, theirs = Metrics(), Metrics()
    ours.record(report(), 9, True)
    assert value(ours, "charhost_reloads_total", trigger="http", outcome="applied") == 1
    assert value(theirs, "charhost_reloads_total", trigger="http", outcome="applied") is None
    assert not any(family.name.startswith("charhost") for family in prometheus_client.REGISTRY.collect())


def test_a_success_is_counted() -> None:
    """An applied reload counts its characters, its duration and itself."""
    metrics = Metrics()
    metrics.record(report(loaded_count=9, load_duration=0.45, generation=42, serving=report().serving), 9, True)
    metrics.record(report(loaded_count=9, load_duration=0.45), 9, True)
    assert value(metrics, "charhost_character_load_count_total") == 18
    assert value(metrics, "charhost_character_load_duration_seconds_sum") == pytest.approx(0.9)
    assert value(metrics, "charhost_reloads_total", trigger="http", outcome="applied") == 2
    assert value(metrics, "charhost_last_reload_successful") == 1


def test_the_gauges_show_the_current_set() -> None:
    """Generation and number of characters are those of the current set, also after a refusal."""
    metrics = Metrics()
    metrics.record(refused(loaded_count=0, serving={"generation": 42, "revision": "r", "characters": 9}), 0, False)
    assert value(metrics, "charhost_generation") == 42
    assert value(metrics, "charhost_characters_loaded") == 9


def test_the_gauges_of_the_server_follow_from_those_of_its_sets() -> None:
    """Without a label there is the sum of the characters, the worst of the lights, and the default generation."""
    metrics = Metrics()
    metrics.record(report(serving={"generation": 7, "revision": "r", "characters": 9}), 9, True)
    metrics.record(refused(set="gaming", serving={"generation": 2, "revision": "r", "characters": 3}), 0, False)
    assert value(metrics, "charhost_characters_loaded") == 12
    assert value(metrics, "charhost_last_reload_successful") == 0
    assert value(metrics, "charhost_generation") == 7
    assert value(metrics, "charhost_set_generation", set="gaming") == 2
    assert value(metrics, "charhost_set_last_reload_successful", set="default") == 1


def test_a_set_that_was_removed_has_no_gauges() -> None:
    """After its end nothing has the label of a set, and the gauges of the server are those of the others."""
    metrics = Metrics()
    metrics.record(report(serving={"generation": 7, "revision": "r", "characters": 9}), 9, True)
    metrics.record(refused(set="gaming", serving={"generation": 2, "revision": "r", "characters": 3}), 0, False)
    metrics.gauge("watcher_up", "gaming", 1)
    metrics.reconciled("gaming", "unchanged")
    metrics.restarted_watcher("gaming")
    metrics.end_set("gaming")
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    assert not any(sample.labels.get("set") == "gaming" for sample in samples)
    assert value(metrics, "charhost_characters_loaded") == 9
    assert value(metrics, "charhost_last_reload_successful") == 1
    assert value(metrics, "charhost_watcher_up") == 0


def test_the_time_of_the_last_success_is_kept() -> None:
    """The timestamp is that of the last reload that succeeded; a refusal leaves it alone."""
    metrics = Metrics()
    begun = time.time()
    metrics.record(report(), 9, True)
    stamp = value(metrics, "charhost_last_reload_success_timestamp_seconds")
    metrics.record(refused(), 0, False)
    assert stamp is not None
    assert begun <= stamp <= time.time()
    assert value(metrics, "charhost_last_reload_success_timestamp_seconds") == stamp


@pytest.mark.parametrize("outcome", ["rejected", "failed"])
def test_a_refusal_turns_the_light_red(outcome: str) -> None:
    """A reload that was refused or failed sets the gauge to 0 and counts no characters."""
    metrics = Metrics()
    metrics.record(report(success=False, outcome=outcome, loaded_count=3), 3, False)
    assert value(metrics, "charhost_last_reload_successful") == 0
    assert value(metrics, "charhost_character_load_count_total") == 0
    assert value(metrics, "charhost_character_load_duration_seconds_count") == 0


def test_failed_files_are_counted_by_type() -> None:
    """Each failed file counts under its error type, whether or not the reload was applied."""
    metrics = Metrics()
    bad = FileError(file="bob.py", error_type="SyntaxError", exception="IndentationError", message="Oh.")
    metrics.record(report(errors=(bad, bad)), 1, True)
    metrics.record(refused(errors=(bad,)), 0, False)
    assert value(metrics, "charhost_character_load_errors_total", error_type="SyntaxError") == 3


def test_a_dry_run_counts_only_itself() -> None:
    """A dry run counts as a reload, and changes no other metric."""
    metrics = Metrics()
    bad = FileError(file="bob.py", error_type="SyntaxError", exception="SyntaxError", message="Oh.")
    metrics.record(report(dry_run=True, outcome="valid", loaded_count=3, errors=(bad,)), 3, True)
    assert value(metrics, "charhost_reloads_total", trigger="http", outcome="valid") == 1
    assert value(metrics, "charhost_last_reload_successful") == 0
    assert value(metrics, "charhost_character_load_count_total") == 0
    assert value(metrics, "charhost_character_load_errors_total", error_type="SyntaxError") is None


def test_the_buckets_reach_from_a_millisecond_to_a_minute() -> None:
    """The buckets separate load times from 1 ms to 60 s."""
    (family,) = (f for f in Metrics().registry.collect() if f.name == "charhost_character_load_duration_seconds")
    bounds = [sample.labels["le"] for sample in family.samples if sample.name.endswith("_bucket")]
    assert (bounds[0], bounds[-2], bounds[-1]) == ("0.001", "60.0", "+Inf")


def test_a_watched_gauge_is_computed_at_each_reading() -> None:
    """A watched gauge is never out of date."""
    metrics, sessions = Metrics(), ["one"]
    metrics.sessions_active.set_function(lambda: len(sessions))
    sessions.append("two")
    assert value(metrics, "charhost_sessions_active") == 2
