"""The routes of the application."""

from aiohttp import web

from charhost.web.http.later import later

_POSTED = "reload|rollback|watch/resume|.+/tools/[^/]+"

ROUTES = (
    web.get("/", later("studio.handler", "index")),
    web.get("/studio/{path:.+}", later("studio.handler", "file")),
    web.get("/v1/characters", later("catalog", "characters")),
    web.post("/v1/characters/reload", later("reload", "reload")),
    web.post("/v1/characters/rollback", later("reload", "rollback")),
    web.get("/v1/characters/reloads", later("reload", "attempts")),
    web.get("/v1/characters/reloads/{reload_id}", later("reload", "attempt")),
    web.post("/v1/characters/watch/resume", later("reload", "resume_watch")),
    web.get("/v1/characters/status", later("monitoring", "status")),
    web.get("/v1/characters/source", later("inspection", "source")),
    web.get("/v1/characters/{name:.+}/prompt", later("inspection", "prompt")),
    web.post("/v1/characters/{name:.+}/tools/{tool:[^/]+}", later("inspection", "call_tool")),
    # Not the paths of POST: a GET of them is refused as such, whatever characters are called.
    web.get(f"/v1/characters/{{name:(?!(?:{_POSTED})$).+}}", later("catalog", "character")),
    web.get("/v1/sets", later("sets", "sets")),
    web.put("/v1/sets/{name}", later("sets", "put_set")),
    web.delete("/v1/sets/{name}", later("sets", "delete_set")),
    web.get("/v1/voices", later("catalog", "voices")),
    web.get("/v1/health", later("health", "health")),
    web.get("/v1/ready", later("health", "ready")),
    web.get("/v1/fleet", later("fleet.handler", "fleet")),
    web.put("/v1/fleet/sets", later("fleet.upload", "upload")),
    web.get("/v1/fleet/rollouts/{epoch}", later("fleet.handler", "rollout")),
    web.post("/v1/fleet/abort", later("fleet.handler", "abort")),
    web.post("/v1/fleet/hold", later("fleet.handler", "hold")),
    web.post("/v1/fleet/restore", later("fleet.handler", "restore")),
    web.get("/v1/models", later("catalog", "models")),
    web.get("/v1/models/{id:(?!/).*[^/]}", later("catalog", "model")),
    web.post("/v1/chat/completions", later("completions.handler", "completions")),
    web.post("/v1/responses", later("responses.handler", "create")),
    web.get("/v1/responses/{id}", later("responses.handler", "retrieve")),
    web.delete("/v1/responses/{id}", later("responses.handler", "delete")),
    web.post("/v1/responses/{id}/cancel", later("responses.handler", "cancel")),
    web.get("/v1/responses/{id}/input_items", later("responses.handler", "input_items")),
    web.get("/v1/realtime", later("realtime.handler", "realtime")),
    web.post("/v1/realtime/client_secrets", later("realtime.client_secrets", "create_client_secret")),
    web.post("/v1/audio/speech", later("audio.speech", "speech")),
    web.post("/v1/audio/transcriptions", later("audio.transcriptions", "transcriptions")),
    web.get("/v1/audio/voices", later("audio.catalog", "audio_voices")),
    web.get("/v1/audio/models", later("audio.catalog", "audio_models")),
    web.get("/v1/model", later("model_choice", "model_in_use")),
    web.put("/v1/model", later("model_choice", "choose_model")),
    web.get("/v1/events", later("events.handler", "events")),
    web.get("/v1/figures", later("events.handler", "figures")),
    web.get("/metrics", later("monitoring", "metrics")),
    web.get("/openapi.json", later("docs.handler", "openapi")),
    web.get("/docs", later("docs.handler", "manual_index")),
    web.get("/docs/api", later("docs.handler", "api_page")),
    web.get("/docs/{page}", later("docs.handler", "manual_page")),
)
