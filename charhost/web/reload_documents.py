"""The history of reloads, and the problem document of one that was refused."""

from pydantic import ConfigDict

from charhost.report import ReloadReport
from charhost.web.http.problem_document import ProblemDocument
from charhost.web.http.response_model import ResponseModel


class ReloadHistory(ResponseModel):
    """The attempts, and the generations for a rollback; the newest first."""

    reloads: tuple[ReloadReport, ...]
    generations: tuple[int, ...]


class RejectedReload(ReloadReport, ProblemDocument):
    """A reload that changed nothing: the refusal, and the report of the attempt."""

    model_config = ConfigDict(defer_build=True)  # only the OpenAPI document has use for it
