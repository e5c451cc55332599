"""The tests of a module are at the same place as the module, under its name."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "charhost"

# The modules whose tests have another name: most are shown at the endpoint or by the process that they are a part of.
# The list only becomes shorter.
SHOWN_IN = {
    "cli/character_voices": "cli/test_voice",
    "cli/chat": "e2e/test_chat",
    "cli/fleet": "e2e/test_fleet",
    "conversation/spoken_turn": "web/realtime/test_speaking",
    "fleet/engine/nats": "fleet/engine/test_jetstream",
    "fleet/fleet": "fleet/test_state_machine",
    "fleet/sets/follow": "fleet/sets/test_rollout",
    "fleet/sets/restoring": "fleet/sets/test_rollout",
    "fleet/sets/shared_set": "fleet/sets/test_rollout",
    "speech/batch_listening": "web/realtime/test_microphone",
    "speech/embedded/engine_process": "speech/embedded/test_child",
    "speech/embedded/frames": "fuzz/test_sound",
    "speech/embedded/hearing": "speech/embedded/test_engines",
    "speech/embedded/jobs": "speech/embedded/test_child",
    "speech/embedded/piper": "speech/embedded/test_engines",
    "speech/embedded/sound_files": "web/audio/test_transcriptions",
    "speech/embedded/speech": "speech/embedded/test_engines",
    "speech/embedded/whisper": "speech/embedded/test_engines",
    "speech/encoders": "web/audio/test_speech",
    "speech/failure": "web/audio/test_errors",
    "speech/kyutai/cloning": "speech/kyutai/test_speech",
    "speech/kyutai/listening": "speech/kyutai/test_hearing",
    "speech/kyutai/moshi_server": "speech/kyutai/test_hearing",
    "speech/kyutai/spoken_words": "speech/kyutai/test_speech",
    "speech/openai/audio_server": "speech/openai/test_speech",
    "speech/openai/wav": "speech/openai/test_speech",
    "speech/segments": "web/audio/test_transcriptions",
    "speech/voices/piper_files": "speech/voices/test_piper",
    "speech/voices/wish": "speech/voices/test_piper",
    "web/caller_view": "web/test_choosing_sets",
    "web/completions/running_completion": "web/completions/test_state",
    "web/connections/tcp_info": "web/connections/test_readers",
    "web/docs/api": "web/docs/test_openapi",
    "web/events/publishing": "web/events/test_handler",
    "web/fleet/handler": "e2e/test_fleet",
    "web/fleet/membership": "fleet/test_monitoring",
    "web/fleet/node": "e2e/test_node",
    "web/fleet/shared_sessions": "fleet/test_resume",
    "web/monitoring": "fleet/test_monitoring",
    "web/openai/request": "web/completions/test_request",
    "web/process/forks": "e2e/test_forks",
    "web/process/signals": "e2e/test_signals",
    "web/process/watchdog": "e2e/test_watchdog",
    "web/realtime/answers": "web/realtime/test_microphone",
    "web/realtime/dispatcher": "web/realtime/test_handler",
    "web/realtime/emitter": "web/realtime/test_openai",
    "web/realtime/loudspeaker": "web/realtime/test_speaking",
    "web/realtime/responder": "web/realtime/test_openai",
    "web/realtime/session_tasks": "web/realtime/test_voice_faults",
    "web/realtime/transcriber": "web/realtime/test_voice_faults",
    "web/realtime/unmute_emitter": "web/realtime/test_unmute",
    "web/realtime/unmute_talk": "web/realtime/test_unmute_voice",
    "web/realtime/unmute_transcripts": "web/realtime/test_unmute_voice",
    "web/responses/events": "web/responses/test_handler",
    "web/responses/request": "web/responses/test_handler",
    "web/responses/response_fields": "web/responses/test_handler",
    "web/responses/running_response": "web/responses/test_handler",
    "web/saving": "storage/test_restart",
    "web/security/shared_secrets": "web/responses/test_shared_chains",
    "web/serve": "web/test_app",
}


def test_every_module_has_tests_of_its_name() -> None:
    """Each module with a function has a test file at the same place, or a named one somewhere else."""
    names = {PACKAGE / name for name in SHOWN_IN}
    modules = (path for path in PACKAGE.rglob("[!_]*.py") if _has_function(path))
    without = {path.with_suffix("") for path in modules if not _own_tests(path).exists()}
    assert sorted(path.relative_to(PACKAGE).as_posix() for path in without - names) == []
    assert sorted(path.relative_to(PACKAGE).as_posix() for path in names - without) == [], "take these off the list"
    assert [file for file in SHOWN_IN.values() if not (ROOT / "tests" / f"{file}.py").exists()] == []


def _own_tests(module: Path) -> Path:
    place = module.relative_to(PACKAGE)
    return ROOT / "tests" / place.parent / f"test_{place.name}"


def _has_function(module: Path) -> bool:
    """Return whether a module has a function that does something; those of protocols have a docstring or `...` only."""
    nodes = ast.walk(ast.parse(module.read_text(encoding="utf-8")))
    functions = (node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return any(not isinstance(step, (ast.Expr, ast.Pass)) for function in functions for step in function.body)
