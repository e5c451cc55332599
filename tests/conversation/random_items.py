"""Strategies for random conversation items."""

from __future__ import annotations

from hypothesis import strategies as st

from charhost.conversation.items import FunctionCall, FunctionOutput
from tests.scripted import message

_IDS = st.sampled_from(["a", "b", "c"])
_MESSAGES = st.builds(message, st.text(max_size=5), st.sampled_from(["user", "system", "assistant"]))
_CALLS = st.builds(lambda i, a: FunctionCall(call_id=i, name="roll", arguments=a), _IDS, st.sampled_from(["", "{}"]))
_OUTPUTS = st.builds(lambda i, o: FunctionOutput(call_id=i, output=o), _IDS, st.text(max_size=5))
ITEMS = st.lists(_MESSAGES | _CALLS | _OUTPUTS, max_size=12)
