"""Operations of paglets on the files that travel with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from paglets.artifacts.file_names import check_label
from paglets.artifacts.file_refs import AVAILABLE, FAILED, REGISTERED, PagletFileRef, check_mode
from paglets.core.errors import ForbiddenError, HostError, LifecycleError
from paglets.persistence.journal.conflict import expect
from paglets.persistence.records import FileRecord, Phase
from paglets.remote import artifact_api as api
from paglets.runtime.files.arriving import MAX_FILES
from paglets.runtime.operations import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from paglets.persistence.records import PagletRecord
    from paglets.persistence.store import Store
    from paglets.runtime.caller import Caller
    from paglets.runtime.files.leaving import LeavingFiles
    from paglets.runtime.files.places import FilePlaces
    from paglets.runtime.here import Here
    from paglets.runtime.residents import Resident, Residents
    from paglets.runtime.work_dirs import WorkDirs


class FileOperations:
    """Registers files, lists and forgets them: each paglet its own."""

    def __init__(
        self,
        *,
        store: Store,
        residents: Residents,
        leaving: LeavingFiles,
        places: FilePlaces,
        work_dirs: WorkDirs,
        here: Here,
    ) -> None:
        self._store = store
        self._residents = residents
        self._leaving = leaving
        self._places = places
        self._work_dirs = work_dirs
        self._here = here

    def entries(self) -> dict[str, Entry]:
        """The operations by name."""
        return {
            api.FILES_REGISTER: Entry(api.RegisterFileParams, self.register, frozenset()),
            api.FILES_LIST: Entry(api.FilesParams, self.list, frozenset()),
            api.FILES_UNREGISTER: Entry(api.FileParams, self.unregister, frozenset()),
        }

    async def register(self, caller: Caller, params: api.RegisterFileParams) -> Any:
        """Register a file, in place of one of the same name."""
        resident = self._own(caller, params.agent_id)
        try:
            check_label(params.name)
            check_mode(params.mode)
        except ValueError as error:
            raise HostError(str(error)) from None
        file = self._record(resident, params)

        def change(files: tuple[FileRecord, ...]) -> tuple[FileRecord, ...]:
            kept = tuple(each for each in files if each.name != file.name)
            if len(kept) >= MAX_FILES:
                raise HostError(f"a paglet takes at most {MAX_FILES} files along")
            return (*kept, file)

        record = await self._change(resident, change)
        return self._ref(record, file).to_wire()

    def _record(self, resident: Resident, params: api.RegisterFileParams) -> FileRecord:
        path = Path(params.path)
        work_dir = self._work_dirs.path(resident.agent_id, resident.incarnation)
        if not path.is_absolute():
            raise HostError("a file is registered by its absolute path")
        inside = path.is_relative_to(work_dir) and ".." not in path.parts
        return FileRecord(
            name=params.name,
            mode=params.mode,
            place="work" if inside else "",
            path=str(path.relative_to(work_dir)) if inside else params.path,
            size=params.size,
            digest=params.sha256,
            source_host_name=self._here.name,
            source_host_url=self._here.address,
            source_path=params.path,
            source_created_at=params.created_at,
            source_modified_at=params.modified_at,
            seen=(params.device, params.inode, params.modified_ns),
        )

    async def list(self, caller: Caller, params: api.FilesParams) -> Any:
        """What travels with it."""
        resident = self._own(caller, params.agent_id)
        record = await self._store.read(lambda tx: tx.paglet(params.agent_id)) or resident.record
        return {"files": [self._ref(record, file).to_wire() for file in record.files]}

    async def unregister(self, caller: Caller, params: api.FileParams) -> Any:
        """Let a file stay behind; one that has come with the paglet goes."""
        resident = self._own(caller, params.agent_id)
        before = resident.record.files
        record = await self._change(
            resident, lambda files: tuple(each for each in files if each.name != params.name)
        )
        if len(record.files) != len(before):
            self._places.tidy()
        return {"unregistered": len(record.files) != len(before)}

    def _own(self, caller: Caller, agent_id: str) -> Resident:
        resident = self._residents.get(agent_id)
        if resident is None or caller.child is None or resident.child is not caller.child:
            raise ForbiddenError("the files of a paglet are its own business")
        return resident

    async def _change(
        self, resident: Resident, change: Callable[[tuple[FileRecord, ...]], tuple[FileRecord, ...]]
    ) -> PagletRecord:
        if resident.moving:
            raise LifecycleError(f"paglet {resident.agent_id} is on its way")
        incarnation = resident.incarnation

        def rule(tx: Any) -> PagletRecord:
            record = expect(tx, resident.agent_id, incarnation, Phase.ACTIVE, step="change the files of")
            files = change(record.files)
            if files != record.files:
                record = replace(record, files=files)
                tx.put_paglet(record)
            return record

        record = await self._store.commit(rule)
        if resident.incarnation == incarnation:
            resident.record = record
        return record

    def _ref(self, record: PagletRecord, file: FileRecord) -> PagletFileRef:
        path = self._leaving.path(record, file)
        there = path.is_file()
        travelled = file.place not in {"", "work"}
        return PagletFileRef(
            name=file.name,
            mode=file.mode,
            source_host_name=file.source_host_name,
            source_host_url=file.source_host_url,
            source_path=file.source_path,
            source_created_at=file.source_created_at,
            source_modified_at=file.source_modified_at,
            size_bytes=file.size,
            sha256=file.digest,
            current_host_name=self._here.name,
            current_host_url=self._here.address,
            current_path=str(path),
            status=FAILED if not there else AVAILABLE if travelled else REGISTERED,
            last_error="" if there else f"there is no file at {path} any more",
        )
