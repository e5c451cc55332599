"""LiteLLM's proxy in front of a model, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from asyncio.subprocess import Process
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from scripts.benchmarks.processes import python

DEFAULT = Path(sys.prefix) / "litellm" / "bin" / "python"
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the network
    "LITELLM_LOG": "ERROR",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # as charhost and the bare relay run
}


def installed(interpreter: Path) -> Path:
    """Return the *interpreter*, with the package; the default one is made, others have to have it."""
    if interpreter == DEFAULT and not (DEFAULT.parent / "litellm").exists():
        print(f"Installing LiteLLM's proxy into {DEFAULT.parents[1]}", file=sys.stderr)
        subprocess.run((sys.executable, "-m", "venv", str(DEFAULT.parents[1])), check=True)
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "litellm[proxy]")
        subprocess.run((str(DEFAULT), *pip), check=True)
    return interpreter.absolute()  # not resolved: an environment is known by its link


def running(interpreter: Path, port: int, scratch: Path, name: str, model: str) -> AbstractAsyncContextManager[Process]:
    """Run the proxy, which calls the *model* by this name; its configuration is written to *scratch*."""
    upstream = {"model": "openai/m", "api_base": model, "api_key": "none"}
    configuration = scratch / "litellm.json"  # which is YAML
    configuration.write_text(json.dumps({"model_list": [{"model_name": name, "litellm_params": upstream}]}))
    program = "from litellm import run_server; run_server()"
    arguments = ("--config", str(configuration), "--host", "127.0.0.1", "--port", str(port))
    return python("-c", program, *arguments, port=port, interpreter=str(interpreter), environment=_ENVIRONMENT)
