"""Where handlers find the owners that `create_app` made, and what the middleware knows of a request."""

from aiohttp import web

from charhost.conversation import Conversations
from charhost.journal import Journal
from charhost.manager import CharacterManager
from charhost.metrics import Metrics
from charhost.parking import Parking
from charhost.settings import Settings
from charhost.upstream import UpstreamModels
from charhost.watcher import Watcher
from charhost.web.authority import Authority, Gate
from charhost.web.openapi import Api
from charhost.web.sessions import Sessions

SETTINGS = web.AppKey("settings", Settings)
METRICS = web.AppKey("metrics", Metrics)
MANAGER = web.AppKey("manager", CharacterManager)
WATCHER: web.AppKey[Watcher | None] = web.AppKey("watcher")
SESSIONS = web.AppKey("sessions", Sessions)
MODELS = web.AppKey("models", UpstreamModels)
CONVERSATIONS = web.AppKey("conversations", Conversations)
PARKING = web.AppKey("parking", Parking)
JOURNAL = web.AppKey("journal", Journal)
GATE = web.AppKey("gate", Gate)
API = web.AppKey("api", Api)
STARTED = web.AppKey("started", int)

AUTHORITY = web.RequestKey("authority", Authority)
