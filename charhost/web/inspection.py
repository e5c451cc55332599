"""A closer look for authors: the prompt and the tools of a character, and the source of a file."""

import time

from aiohttp import web
from pydantic import BaseModel, Field

from charhost.character.character import Character
from charhost.character.host_tools import HOST_TOOLS
from charhost.character.instance import CharacterInstance
from charhost.conversation.items import FunctionCall
from charhost.conversation.prompt_history import PromptHistory
from charhost.conversation.prompt_warnings import prompt_warnings
from charhost.conversation.toolbox import Toolbox
from charhost.errors import PluginFailed
from charhost.ids import new_id
from charhost.jsontext import Json, encoded
from charhost.llm.token_estimate import letters, tokens
from charhost.report import Frozen
from charhost.web.caller_view import ONE_SET, SET, admin_view, found_in, reloadable
from charhost.web.http.body import json_body
from charhost.web.http.operation import Operation, Parameter, Response
from charhost.web.http.problems import Problem, json_response
from charhost.web.http.query import NUMBER, number_in_query
from charhost.web.keys import CONVERSATIONS, METRICS, SETTINGS

_AROUND = 4
_LONGEST_LINE = 500
_NAME = Parameter("name", "path", "The name of a character, or its alias.")
_UNKNOWN = "There is no character of that name (`character_not_found`)."


class RenderedPrompt(BaseModel, frozen=True):
    """A prompt of a character; of an earlier generation the text only."""

    name: str
    generation: int = Field(description="The generation whose file made it.")
    prompt: str
    tokens: int = Field(description="An estimate.")
    tools: list[Json] = Field(description="The definitions that a model is sent.")
    host_tools: list[Json] = Field(description="The same of the server's own tools.")
    greetings: list[str]
    generations: list[int] = Field(description="Generations of which a prompt is kept, the newest first.")
    warnings: list[str] = Field(description="What loads, and will probably not do what its author wants.")


class ToolRequest(Frozen):
    """The arguments of one call."""

    arguments: Json = Field(default_factory=dict)


class ToolResult(BaseModel, frozen=True):
    """The result of one call, as a model would see it; that of a failed one begins with `Error:`."""

    output: str
    seconds: float


class SourceLines(BaseModel, frozen=True):
    """Lines of a file as it was when the directory was last read; `first` is the number of the first one."""

    file: str
    first: int
    lines: list[str]


@Operation(
    "The prompt that a character makes now, or made in an earlier generation",
    "Characters",
    description="Without `generation` its code is run, under `--prompt-deadline`, with a state of its own.",
    needs="admin",
    parameters=(
        _NAME,
        Parameter("generation", "query", "One of `generations`.", NUMBER),
        SET,
    ),
    responses={200: Response.json(RenderedPrompt, "The prompt.")},
    errors={
        400: "`generation` is no number (`invalid_request`).",
        404: _UNKNOWN,
        409: "No prompt of that generation is kept (`prompt_not_kept`).",
        422: "The character's code failed (`character_failed`).",
    },
)
async def prompt(request: web.Request) -> web.StreamResponse:
    character, conversations = _character(request), request.app[CONVERSATIONS]
    generation = number_in_query(request, "generation") or character.generation
    warnings: list[str] = []
    if generation == character.generation:
        text = await _rendered(conversations.instance(character))
        warnings = await prompt_warnings(character, text, conversations.models.of(character))
    else:
        text = _kept(conversations.prompts, character, generation)
    return json_response(
        RenderedPrompt(
            name=character.name,
            generation=generation,
            prompt=text,
            tokens=tokens(letters(text)),
            tools=[dict(tool) for tool in character.tools],
            host_tools=[dict(HOST_TOOLS[name]) for name in character.host_tools],
            greetings=list(character.greetings),
            generations=conversations.prompts.versions(character),
            warnings=warnings,
        )
    )


@Operation(
    "Call a tool of a character once",
    "Characters",
    description="Its code is run, under `--tool-deadline`, outside of any conversation and with a state of its own.",
    needs="admin",
    body=ToolRequest,
    parameters=(_NAME, Parameter("tool", "path", "The name of one of its own tools."), SET),
    responses={200: Response.json(ToolResult, "The result, also that of a call that failed.")},
    errors={
        400: "The body is no JSON object with `arguments` (`invalid_request`).",
        404: f"{_UNKNOWN} Or it has no tool of that name (`tool_not_found`).",
    },
)
async def call_tool(request: web.Request) -> web.StreamResponse:
    character, tool = _character(request), request.match_info["tool"]
    known = [definition["function"]["name"] for definition in character.tools]
    if tool not in known:
        detail = f"{character.name} has no tool {tool!r}; it has: {', '.join(known) or 'none'}."
        raise Problem(404, "tool_not_found", detail)
    body = await json_body(request, ToolRequest)
    instance = request.app[CONVERSATIONS].instance(character)
    toolbox = Toolbox(instance, request.app[METRICS], request.app[SETTINGS].tool_deadline)
    call = FunctionCall(call_id=new_id("call"), name=tool, arguments=encoded(body.arguments).decode())
    began = time.monotonic()
    (result,) = await toolbox.run_all([call])
    return json_response(ToolResult(output=result.output, seconds=time.monotonic() - began))


@Operation(
    "Lines of a character file",
    "Characters",
    description="As it was when the directory was last read, which may be later than what serves.",
    needs="admin",
    parameters=(
        Parameter("file", "query", "Its path, relative to the directory."),
        Parameter("line", "query", "The line in the middle.", NUMBER | {"default": 1}),
        ONE_SET,
    ),
    responses={200: Response.json(SourceLines, "The line, and the four before and after it.")},
    errors={
        400: "`line` is no number (`invalid_request`).",
        404: "There was no such file (`file_not_found`).",
    },
)
async def source(request: web.Request) -> web.StreamResponse:
    file, line = request.query.get("file", ""), number_in_query(request, "line") or 1
    disk = reloadable(request).manager.disk
    found = disk.files.get(file) if disk is not None else None
    if found is None:
        raise Problem(404, "file_not_found", f"There was no file {file!r} when the directory was last read.")
    first = max(line - _AROUND, 1)
    lines = found.data.decode(errors="replace").splitlines()[first - 1 : line + _AROUND]
    return json_response(SourceLines(file=file, first=first, lines=[text[:_LONGEST_LINE] for text in lines]))


async def _rendered(instance: CharacterInstance) -> str:
    try:
        return await instance.prompt()
    except PluginFailed as e:
        raise Problem(422, "character_failed", str(e.failure), e.failure.model_dump()) from None


def _kept(prompts: PromptHistory, character: Character, generation: int) -> str:
    text = prompts.find(character, generation)
    if text is None:
        detail = f"No prompt of {character.name} in generation {generation} is kept: it made none, or made it long ago."
        raise Problem(409, "prompt_not_kept", detail)
    return text


def _character(request: web.Request) -> Character:
    return found_in(admin_view(request), request.match_info["name"]).character
