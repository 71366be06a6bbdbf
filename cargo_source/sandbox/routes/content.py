"""Files and the libraries that they are in."""

from __future__ import annotations

from cargo_source.sandbox.answers import Answer, Call, Refusal, not_found
from cargo_source.sandbox.listings import Getting, Listing
from cargo_source.sandbox.operations import get
from cargo_source.sandbox.shapes import Fields, one_of, uuid
from cargo_source.sandbox.workspace.content import LARGEST_RAW, content_of

FILE = Getting("files", "file", "fileNotFound")
FILES = Listing("files", "files")


def _raw(call: Call) -> Answer:
    """Give the bytes of a file; those of a deleted one are gone."""
    file = FILE.found(call)
    if file["deletedAt"] is not None:
        raise not_found("fileNotFound")
    if file["size"] > LARGEST_RAW:
        raise Refusal(400, {"reason": "tooLarge"})
    return Answer(content_of(file), media_type="application/octet-stream")


_LIBRARIES: Fields = {"connectorUuid": uuid(), "kind": one_of("connector", "native")}
_FILES: Fields = {**_LIBRARIES, **dict.fromkeys(("folderUuid", "libraryUuid"), uuid())}

OPERATIONS = (
    get("/content/files/list", FILES, _FILES),
    get("/content/files/{uuid}", FILE),
    get("/content/files/{uuid}/raw", _raw),
    # The older family lists the same files; no filter of it is documented.
    get("/ai/files/list", FILES),
    get("/content/libraries/list", Listing("libraries", "libraries"), _LIBRARIES),
    get("/content/libraries/{uuid}", Getting("libraries", "library", "libraryNotFound")),
)
