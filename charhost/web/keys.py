"""Keys of the owners that `create_app` makes, and of the values that the middleware adds to a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from charhost.conversation.continued import ContinuedConversations
    from charhost.conversation.conversation import Conversations
    from charhost.fleet.engine.engine import Engine
    from charhost.llm.openai.provider import UpstreamModels
    from charhost.memory.budget import Holding, MemoryBudget
    from charhost.memory.offload import Offload
    from charhost.metrics import Metrics
    from charhost.resume.archive import SessionWriter
    from charhost.resume.disconnected import DisconnectedSessions
    from charhost.sets.character_sets import CharacterSets
    from charhost.settings import Settings
    from charhost.speech.ears import Ears
    from charhost.speech.engines import Engines
    from charhost.web.connections.readers import Readers
    from charhost.web.docs.api import Api
    from charhost.web.docs.manual import Manual
    from charhost.web.events.feed import Feed
    from charhost.web.events.figures import FiguresOfLastHour
    from charhost.web.fleet.membership import Membership
    from charhost.web.openai.model_options import ModelOptions
    from charhost.web.responses.chains import Chains
    from charhost.web.responses.running_response import RunningResponse
    from charhost.web.security.authority import Authority, Gate
    from charhost.web.sessions.sessions import Sessions

SETTINGS: web.AppKey[Settings] = web.AppKey("settings")
METRICS: web.AppKey[Metrics] = web.AppKey("metrics")
SETS: web.AppKey[CharacterSets] = web.AppKey("sets")
SESSIONS: web.AppKey[Sessions] = web.AppKey("sessions")
MODELS: web.AppKey[UpstreamModels] = web.AppKey("models")
CONVERSATIONS: web.AppKey[Conversations] = web.AppKey("conversations")
CONTINUED: web.AppKey[ContinuedConversations] = web.AppKey("continued")
DISCONNECTED: web.AppKey[DisconnectedSessions] = web.AppKey("disconnected")
SESSION_WRITER: web.AppKey[SessionWriter] = web.AppKey("session_writer")
FLEET_ENGINE: web.AppKey[Engine] = web.AppKey("fleet_engine")
MODEL_OPTIONS: web.AppKey[ModelOptions] = web.AppKey("model_options")
CHAINS: web.AppKey[Chains] = web.AppKey("chains")
RUNNING: web.AppKey[dict[str, RunningResponse]] = web.AppKey("running")
BUDGET: web.AppKey[MemoryBudget] = web.AppKey("budget")
OFFLOAD: web.AppKey[Offload] = web.AppKey("offload")
ENGINES: web.AppKey[Engines] = web.AppKey("engines")
EARS: web.AppKey[Ears | None] = web.AppKey("ears")
READERS: web.AppKey[Readers] = web.AppKey("readers")
FEED: web.AppKey[Feed] = web.AppKey("feed")
FIGURES: web.AppKey[FiguresOfLastHour] = web.AppKey("figures")
FLEET: web.AppKey[Membership] = web.AppKey("fleet")  # only there with a fleet
GATE: web.AppKey[Gate] = web.AppKey("gate")
API: web.AppKey[Api] = web.AppKey("api")
MANUAL: web.AppKey[Manual] = web.AppKey("manual")
STARTED: web.AppKey[int] = web.AppKey("started")

AUTHORITY: web.RequestKey[Authority] = web.RequestKey("authority")
MEMORY: web.RequestKey[Holding] = web.RequestKey("memory")
