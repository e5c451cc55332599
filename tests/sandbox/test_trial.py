"""A trial is written and read as one line of JSON."""

from __future__ import annotations

from charhost.sandbox.trial import Trial, read_trials


def test_incomplete_line_is_not_read() -> None:
    """Trials are read up to the first incomplete line, and nothing is read from other bytes."""
    whole = Trial(file="ada.py", name="Ada").model_dump_json().encode()
    assert [found.name for found in read_trials(whole + b"\n" + whole[:-5])] == ["Ada"]
    assert read_trials(b"\x80\x05pickle") == []
