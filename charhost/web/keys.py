"""Keys of the owners that `create_app` makes, and of the values that the middleware adds to a request."""

from aiohttp import web

from charhost.conversation.continued import ContinuedConversations
from charhost.conversation.conversation import Conversations
from charhost.llm.openai.provider import UpstreamModels
from charhost.memory.budget import Holding, MemoryBudget
from charhost.metrics import Metrics
from charhost.resume.archive import SessionWriter
from charhost.resume.disconnected import DisconnectedSessions
from charhost.sets.character_sets import CharacterSets
from charhost.settings import Settings
from charhost.web.docs.manual import Manual
from charhost.web.events.feed import Feed
from charhost.web.events.figures import FiguresOfLastHour
from charhost.web.model_options import ModelOptions
from charhost.web.openapi import Api
from charhost.web.readers import Readers
from charhost.web.responses.running_response import Responses
from charhost.web.security.authority import Authority, Gate
from charhost.web.sessions.sessions import Sessions

SETTINGS = web.AppKey("settings", Settings)
METRICS = web.AppKey("metrics", Metrics)
SETS = web.AppKey("sets", CharacterSets)
SESSIONS = web.AppKey("sessions", Sessions)
MODELS = web.AppKey("models", UpstreamModels)
CONVERSATIONS = web.AppKey("conversations", Conversations)
CONTINUED = web.AppKey("continued", ContinuedConversations)
DISCONNECTED = web.AppKey("disconnected", DisconnectedSessions)
SESSION_WRITER = web.AppKey("session_writer", SessionWriter)
MODEL_OPTIONS = web.AppKey("model_options", ModelOptions)
RESPONSES = web.AppKey("responses", Responses)
BUDGET = web.AppKey("budget", MemoryBudget)
READERS = web.AppKey("readers", Readers)
FEED = web.AppKey("feed", Feed)
FIGURES = web.AppKey("figures", FiguresOfLastHour)
GATE = web.AppKey("gate", Gate)
API = web.AppKey("api", Api)
MANUAL = web.AppKey("manual", Manual)
STARTED = web.AppKey("started", int)

AUTHORITY = web.RequestKey("authority", Authority)
MEMORY = web.RequestKey("memory", Holding)
