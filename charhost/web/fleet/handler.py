"""The endpoints of a fleet."""

import asyncio

from aiohttp import web
from pydantic import Field

from charhost.fleet.engine.engine import Conflict, Unavailable
from charhost.fleet.fleet import Fleet
from charhost.fleet.record import Change, NodeStatus, Register, ServedSet, epoch_subject
from charhost.fleet.sets.shared_set import SharedSet
from charhost.report import Frozen
from charhost.web.caller_view import ONE_SET
from charhost.web.fleet.membership import Membership
from charhost.web.http.body import json_body
from charhost.web.http.operation import Operation, Parameter, Response
from charhost.web.http.problems import Problem, json_response
from charhost.web.keys import FLEET

_NO_FLEET = "This server is in no fleet (`no_fleet`), or there is no such set."
_UNREACHABLE = "The engine of the fleet cannot be reached (`fleet_unreachable`)."
_ERRORS = {404: _NO_FLEET, 503: _UNREACHABLE}


class SharedSetState(Frozen):
    """One set of the fleet, as this node knows it."""

    name: str
    held: bool = Field(description="Whether this node does not follow the fleet (`POST /v1/fleet/hold`).")
    register_: Register | None = Field(alias="register", description="What all nodes are to serve; null: unknown.")
    rollouts: tuple[Change, ...] = Field(description="The sets that were committed and can be restored, newest first.")


class NodeState(NodeStatus):
    """A node, as it described itself the last time."""

    seen: float | None = Field(
        description="How many seconds older that is than the newest status of a node; null without the engine."
    )


class FleetState(Frozen):
    """The fleet, as this node knows it."""

    fleet: str
    node: str = Field(description="The name of this node.")
    reachable: bool = Field(description="Whether the engine could be reached the last time.")
    trouble: str | None = Field(description="Why not.")
    sets: tuple[SharedSetState, ...]
    nodes: tuple[NodeState, ...] = Field(description="Those that are alive; this one only without the engine.")


class RolloutState(Frozen):
    """One rollout, and the set that each node serves now."""

    epoch: int
    outcome: str = Field(description="`proposed`, `committed` or `aborted`.")
    why: str | None
    change: Change | None
    nodes: dict[str, ServedSet]


class HoldRequest(Frozen):
    """Whether this node follows the fleet."""

    held: bool = True


@Operation(
    "The nodes of the fleet",
    "Operate",
    description="What all nodes are to serve, what each of them serves, and why not, if it does not.",
    needs="admin",
    responses={200: Response.json(FleetState, "The fleet, as this node knows it.")},
    errors={404: _NO_FLEET},
)
async def fleet(request: web.Request) -> web.StreamResponse:
    return json_response(await _state(_fleet(request)))


@Operation(
    "One rollout",
    "Operate",
    needs="admin",
    parameters=(Parameter("epoch", "path", "Its number.", {"type": "integer", "minimum": 0}), ONE_SET),
    responses={200: Response.json(RolloutState, "The rollout.")},
    errors={404: f"{_NO_FLEET} Or the rollout is not kept (`rollout_not_found`).", 503: _UNREACHABLE},
)
async def rollout(request: web.Request) -> web.StreamResponse:
    shared, text = _shared(request), request.match_info["epoch"]
    epoch = int(text) if text.isdecimal() and len(text) < 19 else -1
    try:
        found = await _rollout(shared, epoch)
    except Unavailable as e:
        raise _unreachable(e) from e
    if found is None:
        raise Problem(404, "rollout_not_found", "No rollout of that number is kept.")
    return json_response(found)


@Operation(
    "Abort the rollout that is under way",
    "Operate",
    description="No node changes. The reload that began it is refused.",
    needs="admin",
    parameters=(ONE_SET,),
    responses={200: Response.json(FleetState, "Nothing is proposed any more.")},
    errors={**_ERRORS, 409: "The rollout has ended meanwhile (`rollout_ended`)."},
)
async def abort(request: web.Request) -> web.StreamResponse:
    shared = _shared(request)
    try:
        await shared.read()
        await shared.abort("an operator aborted it.")
    except Conflict as e:
        raise Problem(409, "rollout_ended", "The rollout has ended meanwhile.") from e
    except Unavailable as e:
        raise _unreachable(e) from e
    return json_response(await _state(_fleet(request)))


@Operation(
    "Follow the fleet no longer, or again",
    "Operate",
    description="A node that is held serves what it serves; rollouts of the others wait for its vote in vain.",
    needs="admin",
    body=HoldRequest,
    parameters=(ONE_SET,),
    responses={200: Response.json(FleetState, "Done.")},
    errors={404: _NO_FLEET},
)
async def hold(request: web.Request) -> web.StreamResponse:
    shared, body = _shared(request), await json_body(request, HoldRequest)
    shared.is_held = body.held
    shared.node.registers.notify()
    return json_response(await _state(_fleet(request)))


@Operation(
    "Write the sets of this node into the engine",
    "Operate",
    description="Where the engine has lost a set, or has an older one than this node.",
    needs="admin",
    responses={200: Response.json(FleetState, "Done.")},
    errors=_ERRORS,
)
async def restore(request: web.Request) -> web.StreamResponse:
    try:
        await _fleet(request).restore()
    except Unavailable as e:
        raise _unreachable(e) from e
    return json_response(await _state(_fleet(request)))


def membership_of(request: web.Request) -> Membership:
    """Return the place of the server in its fleet; raises `Problem` without one."""
    membership = request.app.get(FLEET)
    if membership is None or membership.fleet is None:
        raise Problem(404, "no_fleet", "This server is in no fleet: it was started without --fleet.")
    return membership


def _fleet(request: web.Request) -> Fleet:
    found = membership_of(request).fleet
    assert found is not None
    return found


def _shared(request: web.Request) -> SharedSet:
    return membership_of(request).shared(request.query.get("set"))


async def _state(found: Fleet) -> FleetState:
    try:
        seen = await found.node.seen()
        sets = [await _set_state(shared) for shared in found.sets.values()]
    except Unavailable:
        seen = {}
        sets = [_known(shared, ()) for shared in found.sets.values()]
    own = seen.get(found.node.name, (found.status, None))[1]
    nodes = {**seen, found.node.name: (found.status, own)}
    return FleetState(
        fleet=found.options.fleet,
        node=found.node.name,
        reachable=found.trouble is None,
        trouble=found.trouble,
        sets=tuple(sets),
        nodes=tuple(NodeState(**vars(nodes[name][0]), seen=nodes[name][1]) for name in sorted(nodes)),
    )


async def _set_state(shared: SharedSet) -> SharedSetState:
    await shared.read()
    records = shared.node.records
    kept = reversed(await shared.epochs())
    found = await asyncio.gather(*(records.read(epoch_subject(shared.name, epoch), Change) for epoch in kept))
    return _known(shared, tuple(one.record for one in found if one.record is not None))


def _known(shared: SharedSet, rollouts: tuple[Change, ...]) -> SharedSetState:
    return SharedSetState(name=shared.name, held=shared.is_held, register=shared.register, rollouts=rollouts)


async def _rollout(shared: SharedSet, epoch: int) -> RolloutState | None:
    register = (await shared.read()).record
    change = (await shared.node.records.read(epoch_subject(shared.name, epoch), Change)).record
    outcome, why = "committed" if change is not None else None, None
    if register is not None and register.proposed is not None and register.proposed.epoch == epoch:
        change, outcome = register.proposed.change, "proposed"
    elif register is not None and register.last is not None and register.last.epoch == epoch:
        outcome, why = register.last.outcome, register.last.why
    if outcome is None:
        return None
    nodes = {
        name: one.sets[shared.name] for name, one in (await shared.node.alive()).items() if shared.name in one.sets
    }
    return RolloutState(epoch=epoch, outcome=outcome, why=why, change=change, nodes=nodes)


def _unreachable(error: Unavailable) -> Problem:
    return Problem(
        503, "fleet_unreachable", f"The engine of the fleet cannot be reached ({error}).", None, {"Retry-After": "5"}
    )
