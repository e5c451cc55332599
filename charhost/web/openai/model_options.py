"""ModelOptions: the fields of requests that reach the model beside those that charhost knows."""

import logging
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from charhost.text import quoted

log = logging.getLogger("charhost.web")

# Sampling, penalties, the shape of the text, and thinking.
# Options that could choose another server, key, model, prompt or price are not for clients.
_PASSED = re.compile(
    r"""top_[ka] | min_p | seed | logit_bias | (frequency|presence|repetition)_penalty | top_n_sigma | typical(_p)?
    | tfs(_z)? | epsilon_cutoff | eta_cutoff | temperature_last
    | smoothing_\w+ | dynatemp_\w+ | mirostat\w* | dry_\w+ | xtc_\w+ | samplers | sampler_\w+ | min_keep
    | repeat_(penalty|last_n) | penalty_(alpha|range|last_n) | length_penalty | no_repeat_ngram_size
    | min_tokens | ignore_eos | stop_token_ids | bad_words | banned_(tokens|strings)
    | verbosity | reasoning\w* | thinking\w* | think | include_reasoning | enable_thinking | chat_template_kwargs
    | guided_\w+ | structured_outputs | grammar | json_schema""",
    re.VERBOSE,
)
_MOST_NAMED = 100


class ModelOptions:
    """Chooses by name; *more* are names of the operator, separated by commas. Lives as long as the application."""

    def __init__(self, more: str) -> None:
        self._more = [name for name in map(str.strip, more.split(",")) if name]
        self._named: set[str] = set()

    def of(self, unknown: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the fields that reach the model; the name of each other is logged once."""
        passed = {}
        for name, value in (unknown or {}).items():
            if _PASSED.fullmatch(name) or any(fnmatchcase(name, pattern) for pattern in self._more):
                passed[name] = value
            elif name not in self._named and len(self._named) < _MOST_NAMED:
                self._named.add(name)
                log.info("the field %s of requests does not reach the model (--llm-pass)", quoted(name))
        return {name: value for name, value in passed.items() if value is not None}
