"""The VMs and backups of the stand-in, in memory, and the rules about them. Knows no HTTP, no time and no scheduler."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID, uuid4


class Status(StrEnum):
    """Where a backup stands."""

    RUNNING = "running"
    COMPLETE = "complete"


@dataclass(slots=True)
class Vm:
    """A virtual machine."""

    name: str
    data_center: str
    id: UUID = field(default_factory=uuid4)
    support_users: set[str] = field(default_factory=lambda: {"support"})
    patches: int = 0
    is_zombie: bool = False
    """Its account has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOrder:
    """What a backup is asked for with."""

    name: str | None = None
    shopper_id: str | None = None
    scheduled_job_type: str | None = None


@dataclass(slots=True, eq=False)
class Backup:
    """A backup of a VM."""

    vm: Vm
    order: BackupOrder
    id: UUID = field(default_factory=uuid4)
    status: Status = Status.RUNNING


class UnknownVmError(Exception):
    """There is no such VM."""


class LimitReachedError(Exception):
    """The data centre runs as many backups as it can."""

    def __init__(self, data_center: str, limit: int) -> None:
        super().__init__(f"{data_center} runs {limit} backups, and no more at a time")
        self.data_center = data_center


def first_vms() -> tuple[Vm, ...]:
    """Return the VMs that are there from the start; their ids are the same each time."""
    return (
        Vm("web", "ams3", UUID("79bfd10c-1529-42de-bd68-1a6e084ee13d")),
        Vm("database", "ams3", UUID("0d0a1bb7-3b0f-4b59-9ed4-2e4f47b2b5a6")),
        Vm("mail", "fra1", UUID("5a7be1d6-6d3b-4a1c-8a37-c1f0b7a3f9de")),
    )


class Cloud:
    """All data centres together. At most `dc_limit` backups run in each of them at a time."""

    def __init__(self, dc_limit: int, vms: tuple[Vm, ...] = ()) -> None:
        self.dc_limit = dc_limit
        self.vms = {vm.id: vm for vm in vms}
        self._backups: list[Backup] = []
        self._by_key: dict[str, Backup] = {}

    def vm(self, text: str) -> Vm:
        """Find a VM by its id. Raises `UnknownVmError`."""
        try:
            return self.vms[UUID(text)]
        except (KeyError, ValueError) as error:
            raise UnknownVmError(f"there is no VM {text!r}") from error

    def add(self, vm: Vm) -> None:
        """Add a VM."""
        self.vms[vm.id] = vm

    def remove(self, vm: Vm) -> None:
        """Remove a VM and its backups."""
        del self.vms[vm.id]
        self._backups = [backup for backup in self._backups if backup.vm is not vm]

    def backups(self, vm: Vm) -> list[Backup]:
        """Return the backups of a VM, the latest last."""
        return [backup for backup in self._backups if backup.vm is vm]

    def taken_on(self, key: str | None) -> Backup | None:
        """Find the backup that was already asked for with this idempotency key."""
        return self._by_key.get(key) if key else None

    def start_backup(self, vm: Vm, order: BackupOrder, key: str | None) -> Backup:
        """Take a backup on; it runs until its status is set. Raises `LimitReachedError`."""
        running = sum(b.vm.data_center == vm.data_center for b in self._backups if b.status is Status.RUNNING)
        if running >= self.dc_limit:
            raise LimitReachedError(vm.data_center, self.dc_limit)
        backup = Backup(vm, order)
        self._backups.append(backup)
        if key:
            self._by_key[key] = backup
        return backup
