"""Segmentation: segments, the changes that their evaluations found, and who was in them when."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Derived, Entity, Gated, Snapshot, Testimony

SEGMENTS = Entity(
    table="segments",
    description="Saved filters over a model; those of plays are named GENERATED_PLAY_SEGMENT.",
    group="segmentation",
    key=("uuid",),
    call=Call("GET", "segmentation/segments/list", "segments"),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid                 text!      the segment
        workspaceUuid        text       -> workspaces.uuid  its workspace
        userUuid             text       -> users.uuid  who made it
        modelUuid            text       -> models.uuid  the model that it filters
        slug                 text       its slug
        name                 text       its name
        filter               json       the filter
        sort                 json       order of its records
        limit                integer    the most records that it takes
        recordsCount         integer    records at the last evaluation; unknown while synced_at is null
        fromPlay             boolean    whether a play owns it
        trackingColumnSlugs  json       columns whose change makes a record updated
        columnSlugs          json       columns that it shows
        syncedAt             timestamp  when it was last evaluated
        createdAt            timestamp  when it was created
        updatedAt            timestamp  when it last changed
        deletedAt            timestamp  when it was deleted
        lastChange           json       the newest of its changes
    """),
)

CHANGES = Entity(
    table="changes",
    description="What an evaluation of a segment found: how many records entered, left, changed or stayed.",
    group="segmentation",
    key=("uuid",),
    call=Call("GET", "segmentation/changes/list", "changes", page=100, send={"segmentUuid": "uuid"}),
    reading=Gated(
        "segments",
        signals=("lastChange.createdAt",),
        cursor="createdAt",
        testimony=Testimony(last="lastChange", item=Call("GET", "segmentation/changes/{uuid}", "change")),
    ),
    evidence="pages until an empty one, the segment's last change among them",
    keep=("uuid", "segmentUuid", "createdAt", "addedRecordsCount", "removedRecordsCount"),
    columns=columns("""
        uuid                   text!      the change
        workspaceUuid          text       -> workspaces.uuid  its workspace
        segmentUuid            text       -> segments.uuid  the segment
        slug                   text       its slug
        totalRecordsCount      integer    records in the segment
        updatedRecordsCount    integer    records whose tracked columns changed
        removedRecordsCount    integer    records that left
        addedRecordsCount      integer    records that entered
        unchangedRecordsCount  integer    records that stayed as they were
        createdAt              timestamp  when the segment was evaluated
    """),
)

CHANGE_ROWS = Entity(
    table="change_rows",
    description="The records that entered, left or changed in each change, of any model.",
    group="segmentation",
    key=("change_uuid", "kind", "record_id"),
    call=Call(
        "POST",
        "segmentation/changes/{uuid}/fetch",
        "records",
        page=100,
        counted=True,
        fixed={"kinds": ["added", "updated", "removed"]},
    ),
    # Records that were updated come only where the segment tracks columns, so their counter says less.
    reading=Gated(
        "changes",
        signals=("createdAt",),
        testimony=Testimony(counters={"added": "addedRecordsCount", "removed": "removedRecordsCount"}),
    ),
    evidence="server count, and the change's counters",
    columns=columns("""
        changeUuid   text!      -> changes.uuid  the change
        segmentUuid  text       -> segments.uuid  the segment
        createdAt    timestamp  when the segment was evaluated
        kind         text{added|updated|removed}!  what happened to the record
        recordId     text!      the record in its model
        title        text~      title of the record
        time         timestamp  the record's own time, where its model has one
        record       json       the record's columns at that time
    """),
)

SEGMENT_MEMBERS = Entity(
    table="segment_members",
    description="Who was in which segment from when to when: one row for each stay, as far as changes tell.",
    group="segmentation",
    key=("segment_uuid", "record_id", "entered_at"),
    merge_key=("segment_uuid", "record_id"),
    reading=Derived(("segments", "change_rows")),
    evidence="as change_rows",
    columns=columns("""
        segmentUuid        text!      -> segments.uuid  the segment
        recordId           text!      the record in its model
        enteredAt          timestamp  when it entered; null where it was inside before its first change
        leftAt             timestamp  when it left; null while it is inside
        modelUuid          text       -> models.uuid  the model
        enteredChangeUuid  text       -> changes.uuid  the change that found it inside
        leftChangeUuid     text       the change that found it gone
    """),
)
