"""Binary artifacts, and files that travel with paglets.

The API page names this package itself as the place of its seven names, so they can be had from here. Each is
looked up in the module that owns it when it is first asked for: see ``docs/decisions``.
"""

from importlib import import_module as __import_module__
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paglets.artifacts.checksums import file_sha256 as file_sha256
    from paglets.artifacts.file_names import safe_target_filename as safe_target_filename
    from paglets.artifacts.file_refs import PagletFileRef as PagletFileRef
    from paglets.artifacts.file_refs import paglet_file_ref_from_path as paglet_file_ref_from_path
    from paglets.artifacts.refs import ArtifactRef as ArtifactRef
    from paglets.artifacts.store import ArtifactStore as ArtifactStore
    from paglets.artifacts.store import ArtifactWriteResult as ArtifactWriteResult

del TYPE_CHECKING  # a package offers what is its own, and no more

__owners__ = {
    "ArtifactRef": "refs",
    "ArtifactStore": "store",
    "ArtifactWriteResult": "store",
    "PagletFileRef": "file_refs",
    "file_sha256": "checksums",
    "paglet_file_ref_from_path": "file_refs",
    "safe_target_filename": "file_names",
}


def __getattr__(name: str) -> object:
    owner = __owners__.get(name)
    if owner is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import_module__(f"{__name__}.{owner}"), name)
