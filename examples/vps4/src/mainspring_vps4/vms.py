"""The VPS4 product API as the jobs see it: `VmService` says what they may ask for, `HttpVmService` asks it over HTTP.

Only this module knows paths and status codes. A job that is tested gets a `VmService` of the test's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote
from uuid import UUID

import httpx2


class VmServiceError(Exception):
    """The product did not do what was asked; later it may."""


class DataCenterFullError(VmServiceError):
    """The data centre takes no more backups at the moment; `data_center` is `None` if the product does not name it."""

    def __init__(self, data_center: str | None) -> None:
        super().__init__(f"the data centre {data_center or 'of the VM'} is at its limit of backups")
        self.data_center = data_center


class RefusedError(VmServiceError):
    """The product refuses the request for good; it would refuse it again."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that the product has taken on, as far as it tells of it: its id, and where the VM is."""

    id: str | None = None
    data_center: str | None = None


class VmService(Protocol):
    """What the jobs ask of the product.

    Each call may be repeated with the same `key`: the product does the work once. All raise `RefusedError` or another
    `VmServiceError`, or whatever the way to the product raises.
    """

    async def create_backup(
        self,
        vm_id: UUID,
        *,
        key: UUID,
        name: str | None = None,
        shopper_id: str | None = None,
        scheduled_job_type: str | None = None,
    ) -> Backup:
        """Start a backup; the product finishes it by itself. Raises `DataCenterFullError` too."""

    async def clean_up_zombie(self, vm_id: UUID, *, key: UUID) -> None:
        """Remove what is left of a VM whose account has ended."""

    async def patch(self, vm_id: UUID, *, key: UUID) -> None:
        """Start the installation of outstanding patches."""

    async def cancel_account(self, vm_id: UUID, *, key: UUID) -> None:
        """End the account of a VM: what is left of it is a zombie."""

    async def destroy(self, vm_id: UUID, *, key: UUID) -> None:
        """Destroy a VM; one that is gone already is fine."""

    async def remove_support_user(self, vm_id: UUID, name: str | None, *, key: UUID) -> None:
        """Take the access of a support user away, without a name that of all; one that is gone already is fine."""


class HttpVmService:
    """The product API over HTTP. Owns `client`, which knows the address of the API and how long to wait for it."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def aclose(self) -> None:
        """Close the connections to the API."""
        await self._client.aclose()

    async def create_backup(
        self,
        vm_id: UUID,
        *,
        key: UUID,
        name: str | None = None,
        shopper_id: str | None = None,
        scheduled_job_type: str | None = None,
    ) -> Backup:
        """See `VmService.create_backup`."""
        body = {"name": name, "shopperId": shopper_id, "scheduledJobType": scheduled_job_type}
        said = await self._call("POST", f"/api/vms/{vm_id}/backups", key=key, body=body)
        return Backup(_text(said, "id"), _text(said, "dataCenter"))

    async def clean_up_zombie(self, vm_id: UUID, *, key: UUID) -> None:
        """See `VmService.clean_up_zombie`."""
        await self._call("POST", f"/api/vms/{vm_id}/zombie/cleanup", key=key)

    async def patch(self, vm_id: UUID, *, key: UUID) -> None:
        """See `VmService.patch`."""
        await self._call("POST", f"/api/vms/{vm_id}/patches", key=key)

    async def cancel_account(self, vm_id: UUID, *, key: UUID) -> None:
        """See `VmService.cancel_account`."""
        await self._call("POST", f"/api/vms/{vm_id}/zombie", key=key)

    async def destroy(self, vm_id: UUID, *, key: UUID) -> None:
        """See `VmService.destroy`."""
        await self._call("DELETE", f"/api/vms/{vm_id}", key=key, also_fine=httpx2.codes.NOT_FOUND)

    async def remove_support_user(self, vm_id: UUID, name: str | None, *, key: UUID) -> None:
        """See `VmService.remove_support_user`."""
        path = f"/api/vms/{vm_id}/supportUsers" + (f"/{quote(name, safe='')}" if name else "")
        await self._call("DELETE", path, key=key, also_fine=httpx2.codes.NOT_FOUND)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        key: UUID,
        body: Mapping[str, str | None] | None = None,
        also_fine: int | None = None,
    ) -> dict[str, Any]:
        response = await self._client.request(method, path, json=body, headers={"Idempotency-Key": str(key)})
        if not response.is_success and response.status_code != also_fine:
            raise _error(response)
        return _json_object(response)


def _error(response: httpx2.Response) -> VmServiceError:
    said = _json_object(response)
    message = str(said.get("message", response.reason_phrase))[:200]
    match response.status_code, said.get("id"):
        case httpx2.codes.CONFLICT, "SNAPSHOT_DC_LIMIT_REACHED":
            return DataCenterFullError(_text(said, "dataCenter"))
        case httpx2.codes.UNPROCESSABLE_CONTENT, _:
            return RefusedError(message)
        case status, _:
            return VmServiceError(f"{response.request.method} {response.request.url.path} answered {status}: {message}")


def _json_object(response: httpx2.Response) -> dict[str, Any]:
    """Read an answer that may come from a proxy on the way, which speaks no JSON."""
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _text(said: Mapping[str, Any], name: str) -> str | None:
    value = said.get(name)
    return value if isinstance(value, str) and value else None
