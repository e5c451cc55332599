"""The form of a transcription."""

from io import BytesIO

import pytest

from tests.web.audio.conftest import Connect

FILE = b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\nabc\r\n"
FORMS = {
    "lines before the first part": b"\r\n" * 2_000_000 + b"--x",
    "many headers": b"--x\r\n" + b"A: b\r\n" * 5_000 + b"\r\nabc\r\n--x--",
    "a long header": b"--x\r\nA: " + b"b" * 200_000 + b"\r\n\r\nabc\r\n--x--",
    "no end of the headers": b"--x\r\nA: b\r\n--x--",
    "many parts": FILE * 200_000 + b"--x--",
    "a long field": b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" + bytes(70_000) + b"\r\n--x--",
    "a charset that is none": b"--x\r\nContent-Disposition: form-data; name=_charset_\r\n\r\n"
    + b"a" * 50
    + b"\r\n--x--",
    "a name that is none": b"--x\r\nContent-Disposition: form-data; name*=utf-8''%ff; name=\"\r\n\r\nv\r\n--x--",
}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in FORMS.items()])
async def test_forms_that_are_none(connect: Connect, body: bytes) -> None:
    """A form of many lines, headers or parts, or with a wrong header, is refused as any other wrong one."""
    client = await connect()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = await client.post("/v1/audio/transcriptions", data=BytesIO(body), headers=headers)
    assert response.status in (400, 413)
    assert (await response.json())["error"]["type"] == "invalid_request_error"


TWO = "{0}*=x; {0}*0=y"


@pytest.mark.parametrize(
    ("boundary", "name"), [(TWO.format("boundary"), "name=file"), ("boundary=x", TWO.format("name"))]
)
async def test_parameters_that_contradict_each_other(connect: Connect, boundary: str, name: str) -> None:
    """A parameter with and without a number, which the standard library cannot sort, makes no form."""
    client = await connect()
    body = f"--x\r\nContent-Disposition: form-data; {name}\r\n\r\nabc\r\n--x--"
    headers = {"Content-Type": f"multipart/form-data; {boundary}"}
    response = await client.post("/v1/audio/transcriptions", data=body.encode(), headers=headers)
    assert (response.status, (await response.json())["error"]["type"]) == (400, "invalid_request_error")
