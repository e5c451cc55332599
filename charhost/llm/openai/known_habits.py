"""KnownHabits: the habits of models' servers that were learned from refusals."""

import logging

from cachetools import TTLCache

from charhost.llm.model import ServerHabits
from charhost.llm.openai.endpoint import Endpoint
from charhost.settings import Habit

log = logging.getLogger("charhost.llm")

_MOST = 64
_SECONDS = 3600


class KnownHabits:
    """Habits by endpoint and model; each is forgotten an hour after it was learned."""

    def __init__(self) -> None:
        self._learned: TTLCache[tuple[Endpoint, str], frozenset[Habit]] = TTLCache(_MOST, _SECONDS)

    def of(self, endpoint: Endpoint, model: str) -> frozenset[Habit]:
        return self._learned.get((endpoint, model), frozenset())

    def learn(self, endpoint: Endpoint, model: str, habits: frozenset[Habit]) -> None:
        known = self.of(endpoint, model)
        if habits <= known:
            return
        self._learned[endpoint, model] = known | habits
        names = ", ".join(sorted(habits - known))
        log.info("%s at %s: requests are sent in another form from now on: %s", model, endpoint.host, names)
        if Habit.NO_TOOLS in habits:
            log.warning("%s at %s takes no tools: characters have none there", model, endpoint.host)

    def listed(self) -> list[ServerHabits]:
        return [
            ServerHabits(endpoint.host, model, tuple(sorted(habits)))
            for (endpoint, model), habits in self._learned.items()
        ]
