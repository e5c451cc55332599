"""The metrics of character files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from charhost.loading.snapshot import Snapshot
from charhost.threads.worker_pool import WorkerPool

# Seconds for one collector; a scrape of Prometheus waits for ten by default.
_DEADLINE = 2.0

Encode = Callable[[CollectorRegistry], bytes]

# The endings of the samples of a metric, by its type, as a registry of prometheus_client keeps them for it.
_ENDINGS = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "info": ("_info",),
}
_ENDING = "|".join(sorted({ending for endings in _ENDINGS.values() for ending in endings}))
_OWN = re.compile(rf"charhost_.*|(character_load_(count|errors|duration)|characters_loaded)({_ENDING})?", re.DOTALL)
# The last line of the text in the format of OpenMetrics.
END = b"# EOF\n"


class Build(Protocol):
    """The build whose file registers a collector; `is_taken` as soon as a character of it serves."""

    prefix: str
    snapshot: Snapshot
    is_taken: bool


class CharacterMetrics:
    """The collectors that character files register with the registry of the process.

    A new version of a file goes on with the values of the one before; when no version is left, they are gone. Those of
    a build that does not serve, such as that of a dry run, take the place of none. Lives as long as the application.
    """

    def __init__(self) -> None:
        self._entries: tuple[_Entry, ...] = ()  # the newest first

    def register(self, collector: Collector, build: Build, path: str) -> None:
        """Add a collector of the file at *path*; raises `ValueError` for a name that is taken."""
        entry = _Entry(collector, build, path, _described(collector))
        for name in entry.names:
            _refuse_own(name)
        others = [other for other in self._in_order if not entry.names.isdisjoint(other.names)]
        for other in others:
            if entry.conflicts_with(other):
                taken = min(entry.names & other.names, key=len)
                raise ValueError(f"the metric {taken} is already registered by {other.path}: choose another name")
        if others:
            _continue(collector, others[0].collector)
        self._entries = (entry, *self._entries)

    def unregister(self, collector: Collector) -> bool:
        """Remove a collector; return whether it was there."""
        before = self._entries
        self._entries = tuple(entry for entry in before if entry.collector is not collector)
        return len(self._entries) < len(before)

    async def collect(self, pool: WorkerPool, encode: Encode) -> tuple[bytes, int]:
        """Return the encoded metrics, without the end of the text, and how many collectors failed.

        They run on threads, as they may be code of a file; one that is still busy with an earlier call fails.
        """
        shown, taken = [], set[str]()
        for entry in self._in_order:
            if taken.isdisjoint(entry.names):
                taken |= entry.names
                shown.append(entry)
        owners = [entry.build.snapshot.location(entry.path) for entry in shown]
        parts = await pool.run_all([_Collection(entry, encode) for entry in shown], _DEADLINE, owners)
        return _joined(zip([entry.path for entry in shown], parts, strict=True))

    @property
    def _in_order(self) -> list[_Entry]:
        """The entries of builds that serve or served before the others, each the newest first."""
        return sorted(self._entries, key=lambda entry: not entry.build.is_taken)


@dataclass(eq=False)
class _Entry:
    collector: Collector
    build: Build
    path: str
    names: frozenset[str]
    is_busy: bool = False

    def conflicts_with(self, other: _Entry) -> bool:
        """Return whether the other is in use, and neither an earlier version of this file nor a file that has gone."""
        if other.build is self.build:
            return True
        mine, theirs = self.build.snapshot, other.build.snapshot
        is_there = other.build.is_taken and theirs.directory == mine.directory and other.path in mine.files
        return is_there and other.path != self.path


class _Shown(NamedTuple):
    """The text of a collector, and the names in it, which it need not have described."""

    names: frozenset[str]
    text: bytes


@dataclass(frozen=True)
class _Collection:
    """A job that collects one collector."""

    entry: _Entry
    encode: Encode

    def __call__(self) -> _Shown:
        if self.entry.is_busy:
            raise TimeoutError("the collector is still busy with an earlier call")
        self.entry.is_busy = True
        try:
            return self._encoded()
        finally:
            self.entry.is_busy = False

    def _encoded(self) -> _Shown:
        families = list(self.entry.collector.collect())
        names = _names(families)
        for name in names:
            _refuse_own(name)
        for family in families:
            if self.entry.names and family.name not in self.entry.names:
                raise ValueError(f"the collector was registered without the metric {family.name}")
        return _Shown(names, self.encode(_registry_of(families)).removesuffix(END))


def _joined(parts: Iterable[tuple[str, Any]]) -> tuple[bytes, int]:
    """Return the texts of collectors, each given with its file, and how many have failed.

    No name is in two of them. One that an earlier version of the same file has, too, has not failed.
    """
    texts, paths, failed = [], dict[str, str](), 0
    for path, part in parts:
        others = {paths[name] for name in part.names & paths.keys()} if isinstance(part, _Shown) else {""}
        if not others:
            texts.append(part.text)
            paths |= dict.fromkeys(part.names, path)
        elif others != {path}:
            failed += 1
    return b"".join(texts), failed


def _registry_of(families: list[Any]) -> CollectorRegistry:
    class Collected:
        def describe(self) -> list[Any]:
            return []

        def collect(self) -> list[Any]:
            return families

    registry = CollectorRegistry()
    registry.register(Collected())
    return registry


def _described(collector: Any) -> frozenset[str]:
    describe = getattr(collector, "describe", collector.collect)
    return _names(list(describe()))


def _names(families: Collection[Any]) -> frozenset[str]:
    """Return the names of metrics, and of all samples that they have or may have."""
    names = {f"{family.name}{ending}" for family in families for ending in ("", *_ENDINGS.get(family.type, ()))}
    return frozenset(names | {str(sample.name) for family in families for sample in family.samples})


def _refuse_own(name: str) -> None:
    if _OWN.fullmatch(name):
        raise ValueError(f"the metric {name} is one of the server's own: begin it with the name of the character")


def _continue(new: Any, old: Any) -> None:
    """Let a metric go on with the values of its predecessor, if both have the same type, labels and buckets."""
    if type(new) is not type(old) or not hasattr(new, "labels"):  # a collector of another kind
        return
    state, former = vars(new), vars(old)
    texts = [family.documentation for family in new.describe()]
    fixed = {key for key, value in state.items() if _is_fixed(value)}
    if all(state[key] == former.get(key) or state[key] in texts for key in fixed):
        state.update({key: former[key] for key in state.keys() - fixed if key in former})


def _is_fixed(value: Any) -> bool:
    """Return whether a value of a metric's state describes it, rather than counts."""
    if isinstance(value, (list, tuple)):
        return all(isinstance(one, (str, int, float)) for one in value)
    return isinstance(value, (str, bool)) or (isinstance(value, dict) and len(value) > 0)
