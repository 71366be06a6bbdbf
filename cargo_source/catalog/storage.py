"""Storage: datasets, models, their columns and relationships. The rows of models are typed from these."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Entity, Follow, Gated, Snapshot, Testimony, Unfolded

DATASETS = Entity(
    table="datasets",
    description="Groups of models: the native one and one for each connector.",
    group="storage",
    key=("uuid",),
    call=Call("GET", "storage/datasets/list", "datasets"),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid           text!      the dataset
        workspaceUuid  text       -> workspaces.uuid  its workspace
        slug           text       first part of the names of its tables
        kind           text{native|connector}  who fills it: nobody else, or a connector
        connectorUuid  text       -> connectors.uuid  the connector that fills it; null when native
        createdAt      timestamp  when it was created
        updatedAt      timestamp  when it last changed
        deletedAt      timestamp  when it was deleted
    """),
)

MODELS = Entity(
    table="models",
    description="Tables of Cargo: each holds records, whose rows land in a table of their own.",
    group="storage",
    key=("uuid",),
    call=Call("GET", "storage/models/list", "models"),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid               text!      the model
        workspaceUuid      text       -> workspaces.uuid  its workspace
        slug               text       second part of the name of its table
        name               text       its name
        description        text       what it is for
        datasetUuid        text       -> datasets.uuid  its dataset
        kind               text{native|connector}  who fills it: nobody else, or a connector
        connectorUuid      text       -> connectors.uuid  the connector that fills it
        extractorSlug      text       the extractor that fills it
        position           json       place on the canvas
        config             json       settings of the extractor; encrypted values are left out
        schedule           json       when it is filled
        meta               json       free attributes
        columns            json       original columns; unfolded in the table columns
        additionalColumns  json       columns added in Cargo; unfolded in the table columns
        idColumnSlug       text       the column that identifies a record
        unification        json       how records are unified
        titleColumnSlug    text       the column that names a record
        timeColumnSlug     text       the column that dates a record
        folderUuid         text       -> folders.uuid  its folder
        playsCount         integer    plays that use it
        segmentsCount      integer    segments over it
        isPaused           boolean    whether filling it is paused
        lastEmittedAt      timestamp  when its rows last moved
        createdAt          timestamp  when it was created
        updatedAt          timestamp  when its definition last changed, not its rows
        deletedAt          timestamp  when it was deleted
        lastRun            json       the last time that it was filled
        table              text       the table in this dataset that holds its rows
    """),
)

COLUMNS = Entity(
    table="columns",
    description="The columns of each model, original and added.",
    group="storage",
    key=("model_uuid", "kind", "slug"),
    reading=Unfolded("models", fields=("columns", "additionalColumns"), carry={"modelUuid": "uuid"}, position="index"),
    evidence="as models",
    columns=columns("""
        modelUuid          text!    -> models.uuid  the model
        index              integer  position in the model, originals first
        slug               text!    slug of the column
        type               text     string, number, object, array, date, boolean, vector or any
        kind               text!    original, custom, computed, metric or lookup
        label              text     what people call it
        description        text     what it holds
        properties         json     properties of an object
        originalSlug       text     name at the origin; original columns only
        expression         json     how it is computed; computed columns only
        columnsUsed        json     columns that the expression uses
        relationshipUuid   text     -> relationships.uuid  what a metric counts over
        aggregation        json     function and column of a metric
        filter             json     rows that a metric or lookup considers
        join               json     how a lookup finds its row
        extractColumnSlug  text     the column that a lookup takes
    """),
)

RELATIONSHIPS = Entity(
    table="relationships",
    description="Joins between models.",
    group="storage",
    key=("uuid",),
    call=Call("GET", "storage/relationships/list", "relationships"),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid                     text!  the relationship
        workspaceUuid            text   -> workspaces.uuid  its workspace
        fromDatasetUuid          text   -> datasets.uuid  dataset on the left
        fromModelUuid            text   -> models.uuid  model on the left
        fromColumnSlug           text   column on the left
        fromPropertySlug         text   property inside the left column
        toDatasetUuid            text   -> datasets.uuid  dataset on the right
        toModelUuid              text   -> models.uuid  model on the right
        toColumnSlug             text   column on the right
        toPropertySlug           text   property inside the right column
        fromSelectedColumnSlugs  json   columns shown of the left
        toSelectedColumnSlugs    json   columns shown of the right
        relation                 text{oneToOne|oneToMany|manyToOne}  how many rows join how many
    """),
)

STORAGE_RUNS = Entity(
    table="storage_runs",
    description="Each time that a model was filled.",
    group="storage",
    key=("uuid",),
    call=Call("GET", "storage/runs/list", "runs", page=100, send={"modelUuid": "uuid"}),
    reading=Gated(
        "models",
        ("lastRun.createdAt", "lastRun.finishedAt"),
        cursor="updatedAt",
        swept="whole",
        testimony=Testimony(last="lastRun"),
    ),
    follow=Follow(
        "status",
        final=("success", "error", "cancelled"),
        ended="finishedAt",
        call=Call("GET", "storage/runs/list", "runs", page=100, send={"modelUuid": "modelUuid"}),
        by="modelUuid",
        still_open={"statuses": ["pending", "running", "cancelling"]},
    ),
    evidence="pages until an empty one, the model's last run among them",
    columns=columns("""
        uuid                text!      the run
        workspaceUuid       text       -> workspaces.uuid  its workspace
        modelUuid           text       -> models.uuid  the model
        status              text{pending|running|cancelling|cancelled|error|success}  its state
        temporalWorkflowId  text       its id in the workflow engine
        errorMessage        text       why it failed
        s3Filenames         json       files that it wrote
        finishedAt          timestamp  when it ended
        createdAt           timestamp  when it was created
        updatedAt           timestamp  when it last moved
    """),
)
