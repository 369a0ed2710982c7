"""The stand-in over HTTP. Errors are JSON as the product writes it: ``{"id": …, "message": …}``.

As Mainspring itself it answers only for this machine, and lets no web page change anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import anyio
from anyio.abc import TaskGroup
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mainspring.clock import Clock
from mainspring.web import Hosts, HttpError
from mainspring_vps4.standin.cloud import (
    Backup,
    BackupOrder,
    Cloud,
    LimitReachedError,
    Status,
    UnknownVmError,
    Vm,
)

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
DataCenter = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$", max_length=64)]


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class VmBody(_Body):
    """The body of ``POST /api/vms``."""

    name: Name
    data_center: DataCenter = "ams3"


class BackupBody(_Body):
    """The body of ``POST /api/vms/{vmId}/backups``."""

    name: Name | None = None
    shopper_id: Name | None = None
    scheduled_job_type: Name | None = None


B = TypeVar("B", bound=_Body)


class Standin:
    """The API: `app` is its ASGI application. A backup runs for `backup_seconds`."""

    def __init__(self, cloud: Cloud, clock: Clock, backup_seconds: float) -> None:
        self._cloud = cloud
        self._clock = clock
        self._backup_seconds = backup_seconds
        self._tasks: TaskGroup
        self.app = Starlette(
            lifespan=self._lifespan,
            middleware=[Middleware(_NoStrangers)],
            routes=[
                Route("/api/vms", self._list_vms),
                Route("/api/vms", self._create_vm, methods=["POST"]),
                Route("/api/vms/{vm}", self._destroy, methods=["DELETE"]),
                Route("/api/vms/{vm}/backups", self._list_backups),
                Route("/api/vms/{vm}/backups", self._create_backup, methods=["POST"]),
                Route("/api/vms/{vm}/zombie", self._cancel_account, methods=["POST"]),
                Route("/api/vms/{vm}/zombie/cleanup", self._clean_up_zombie, methods=["POST"]),
                Route("/api/vms/{vm}/patches", self._patch, methods=["POST"]),
                Route("/api/vms/{vm}/supportUsers", self._remove_support_users, methods=["DELETE"]),
                Route("/api/vms/{vm}/supportUsers/{name}", self._remove_support_user, methods=["DELETE"]),
            ],
            exception_handlers={
                LimitReachedError: _limit_reached,
                UnknownVmError: _unprocessable,
                ValidationError: _unprocessable,
            },
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as self._tasks:
            yield
            self._tasks.cancel_scope.cancel()

    def _vm(self, request: Request) -> Vm:
        return self._cloud.vm(request.path_params["vm"])

    async def _list_vms(self, _request: Request) -> JSONResponse:
        return JSONResponse([_vm_json(vm) for vm in self._cloud.vms.values()])

    async def _create_vm(self, request: Request) -> JSONResponse:
        body = await _read(VmBody, request)
        vm = Vm(body.name, body.data_center)
        self._cloud.add(vm)
        return JSONResponse(_vm_json(vm), 201)

    async def _destroy(self, request: Request) -> Response:
        try:
            self._cloud.remove(self._vm(request))
        except UnknownVmError as error:
            return _error(404, "NOT_FOUND", str(error))
        return Response(status_code=202)

    async def _list_backups(self, request: Request) -> JSONResponse:
        return JSONResponse([_backup_json(backup) for backup in self._cloud.backups(self._vm(request))])

    async def _create_backup(self, request: Request) -> JSONResponse:
        body = await _read(BackupBody, request)
        vm = self._vm(request)
        key = request.headers.get("Idempotency-Key")
        backup = self._cloud.taken_on(key)
        if backup is None:
            backup = self._cloud.start_backup(vm, BackupOrder(**body.model_dump()), key)
            self._tasks.start_soon(self._finish, backup)
        return JSONResponse(_backup_json(backup), 202)

    async def _finish(self, backup: Backup) -> None:
        await self._clock.sleep(self._backup_seconds)
        backup.status = Status.COMPLETE

    async def _cancel_account(self, request: Request) -> Response:
        self._vm(request).is_zombie = True
        return Response(status_code=202)

    async def _clean_up_zombie(self, request: Request) -> Response:
        self._cloud.remove(self._vm(request))
        return Response(status_code=202)

    async def _patch(self, request: Request) -> Response:
        self._vm(request).patches += 1
        return Response(status_code=202)

    async def _remove_support_users(self, request: Request) -> Response:
        self._vm(request).support_users.clear()
        return Response(status_code=204)

    async def _remove_support_user(self, request: Request) -> Response:
        users = self._vm(request).support_users
        name = request.path_params["name"]
        if name not in users:
            return _error(404, "NOT_FOUND", f"there is no support user {name!r}")
        users.remove(name)
        return Response(status_code=204)


class _NoStrangers:
    """Refuses requests for other hosts, and those of web pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._hosts = Hosts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            try:
                self._hosts.check(scope, dict(scope["headers"]))
            except HttpError as error:
                app = _error(error.status, error.id, str(error))
        await app(scope, receive, send)


async def _read(model: type[B], request: Request) -> B:
    return model.model_validate_json(await request.body() or b"{}")


def _vm_json(vm: Vm) -> dict[str, Any]:
    return {
        "id": str(vm.id),
        "name": vm.name,
        "dataCenter": vm.data_center,
        "supportUsers": sorted(vm.support_users),
        "patches": vm.patches,
        "zombie": vm.is_zombie,
    }


def _backup_json(backup: Backup) -> dict[str, Any]:
    return {
        "id": str(backup.id),
        "vmId": str(backup.vm.id),
        "dataCenter": backup.vm.data_center,
        "name": backup.order.name,
        "shopperId": backup.order.shopper_id,
        "scheduledJobType": backup.order.scheduled_job_type,
        "status": backup.status,
    }


def _error(status: int, code: str, message: str, **more: str) -> JSONResponse:
    return JSONResponse({"id": code, "message": message, **more}, status)


async def _limit_reached(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LimitReachedError)
    return _error(409, "SNAPSHOT_DC_LIMIT_REACHED", str(error), dataCenter=error.data_center)


async def _unprocessable(_request: Request, error: Exception) -> JSONResponse:
    return _error(422, "INVALID_REQUEST", str(error))
