"""The OpenAPI document of an application."""

from dataclasses import dataclass
from functools import cached_property

from aiohttp import web

from charhost.jsontext import Json
from charhost.settings import Settings


@dataclass(frozen=True)
class Api:
    router: web.UrlDispatcher
    settings: Settings

    @cached_property
    def document(self) -> Json:
        from charhost.web.docs.openapi import document  # with the modules of all handlers

        return document(self.router.routes(), self.settings)
