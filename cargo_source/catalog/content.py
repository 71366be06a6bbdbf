"""Content: files, and the libraries that gather them."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Entity, Snapshot

LIBRARIES = Entity(
    table="libraries",
    description="Collections of files that agents read, the workspace's own or filled by a connector.",
    group="content",
    key=("uuid",),
    call=Call("GET", "content/libraries/list", "libraries"),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid           text!      the library
        workspaceUuid  text       -> workspaces.uuid  its workspace
        name           text       its name
        kind           text{native|connector}  who fills it: nobody else, or a connector
        connectorUuid  text       -> connectors.uuid  the connector that fills it
        extractorSlug  text       the extractor that fills it
        config         json       settings of the extractor; encrypted values are left out
        folderUuid     text       -> folders.uuid  its folder
        lastSyncedAt   timestamp  when it was last filled
        createdAt      timestamp  when it was created
        updatedAt      timestamp  when it last changed
        deletedAt      timestamp  when it was deleted
    """),
)

FILES = Entity(
    table="files",
    description="Files that people, agents and libraries hold; what is in them is not loaded.",
    group="content",
    key=("uuid",),
    call=Call("GET", "content/files/list", "files", instead=("GET", "ai/files/list")),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid                          text!      the file
        workspaceUuid                 text       -> workspaces.uuid  its workspace
        libraryUuid                   text       -> libraries.uuid  its library
        userUuid                      text       -> users.uuid  who brought it
        kind                          text{native|connector}  who brought it: a person, or a connector
        connectorUuid                 text       -> connectors.uuid  the connector that brought it
        name                          text       its name
        isTemporary                   boolean    whether it goes away by itself
        folderUuid                    text       -> folders.uuid  its folder
        s3Filename                    text       where it is kept
        openAiFileId                  text       its id in the vector store's files
        contentType                   text       its media type
        size                          integer    its size in bytes
        isIndexedInOpenAiVectorStore  boolean    whether agents can search in it
        externalId                    text       its id where it came from
        createdAt                     timestamp  when it was created
        updatedAt                     timestamp  when it last changed
        deletedAt                     timestamp  when it was deleted
    """),
)
