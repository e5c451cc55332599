"""PUT /v1/fleet/sets: a character set that is uploaded, for a reload of it."""

import asyncio

from aiohttp import web
from pydantic import Field

from charhost.errors import FleetUnreachable
from charhost.fleet.engine.engine import Unavailable
from charhost.fleet.sets.drift import Drift
from charhost.fleet.sets.shared_set import SharedSet
from charhost.fleet.sets.upload import TAR, UnusableUpload, most_bytes, uploaded_set
from charhost.loading.snapshot import Limits
from charhost.loading.stored_set import StoredSet, snapshots_of
from charhost.reload.request import ReloadRequest
from charhost.report import Frozen, ReloadReport
from charhost.web.caller_view import ONE_SET
from charhost.web.fleet.handler import membership_of
from charhost.web.http.body import expect_media_type, read_body, take_memory
from charhost.web.http.operation import Operation, Response
from charhost.web.http.problems import Problem, json_response
from charhost.web.keys import SETTINGS
from charhost.web.reload import reload_errors

# Seconds for the body to arrive.
_DEADLINE = 60.0


class UploadedSet(Frozen):
    """A set that the fleet keeps for an hour, or for as long as it serves after a reload."""

    uploaded: str = Field(description="Its digest, for the field `uploaded` of a reload.")
    report: ReloadReport = Field(description="The report of a dry run at the node that was asked.")


@Operation(
    "Upload a character set",
    "Operate",
    description=(
        "The body is a tar archive (`--format=ustar`) of regular `.py` files with relative paths, and has nothing "
        "else, not even folders. The set is built and checked at this node as in a dry run, and kept for a reload "
        "(`uploaded`); no node changes. Only where the server was started with `--fleet-upload`."
    ),
    needs="admin",
    file=TAR,
    parameters=(ONE_SET,),
    responses={200: Response.json(UploadedSet, "The set is kept.")},
    errors=reload_errors()
    | {
        400: "The body is no such archive, or has more than the limits of a set (`invalid_upload`).",
        408: "The body did not arrive in time (`request_timeout`).",
        413: "The body is larger than the largest set (`request_too_large`).",
        415: f"The body is not declared as `{TAR}` (`unsupported_media_type`).",
        429: "The server has no memory left for the body (`rate_limit_exceeded`).",
    },
)
async def upload(request: web.Request) -> web.StreamResponse:
    membership = membership_of(request)
    shared = membership.shared(request.query.get("set"))
    membership.admit_upload()
    stored = await _stored(request, shared)
    order = ReloadRequest(set=shared.name, dry_run=True)
    report = await shared.manager.reload_characters(order, stored, consent=Drift(shared))
    try:
        digest = await shared.upload(stored)
    except Unavailable as e:
        raise FleetUnreachable(e) from e
    return json_response(UploadedSet(uploaded=digest, report=report))


async def _stored(request: web.Request, shared: SharedSet) -> StoredSet:
    """Return the set in the body; raises `Problem`."""
    expect_media_type(request, TAR)
    limits, current = Limits.of(request.app[SETTINGS]), shared.manager.current
    archive = await read_body(request, most_bytes(limits), _DEADLINE)
    take_memory(request, len(archive))  # for the files in it
    try:
        return await asyncio.to_thread(uploaded_set, archive, limits, current.directory, snapshots_of(current))
    except UnusableUpload as e:
        raise Problem(400, "invalid_upload", str(e)) from e
