"""A sync that fails while others still read: what is told is why, and the next sync is none the worse."""

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ContainerInjectableContextMangled
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext

from cargo_source.errors import PermissionDenied, WrongHost
from tests.small import small_box
from tests.target import entity_differences


@pytest.fixture
def box():
    with small_box(43) as own:
        yield own


def test_the_reason_of_a_failure_is_told_though_others_still_read(box, target):
    """dlt gives up on threads that are not done within seconds, and then speaks of its own trouble alone."""
    box.faults.add(path="orchestration/workflows/list", kind="slow", seconds=6)
    box.faults.add(path="segmentation/segments/list", kind="forbidden")
    with pytest.raises(PermissionDenied, match="segmentation/segments/list"):
        target.sync(box, only=["segments", "workflows"])
    box.faults.clear()
    target.sync(box, only=["segments", "workflows"])
    assert entity_differences(target, box, "segments") + entity_differences(target, box, "workflows") == []


def test_the_reason_is_told_where_dlt_stumbles_over_its_own_context(box, target, monkeypatch):
    """Now and then a resource still reads when dlt closes it: then dlt's last word is about its context."""

    def stumble(_pipeline, _source):
        left = Container()[ConfigSectionContext] = ConfigSectionContext(pipeline_name="cargo", sections=("extract",))
        try:
            try:
                raise WrongHost("a web page", method="GET", path="segmentation/segments/list")  # noqa: TRY301 - as dlt does
            except WrongHost:
                raise ValueError("generator already executing") from None
        except ValueError:
            raise ContainerInjectableContextMangled(ConfigSectionContext, left, left)  # noqa: B904 - as dlt does

    with monkeypatch.context() as patched:
        patched.setattr(dlt.Pipeline, "run", stumble)
        with pytest.raises(WrongHost, match="segmentation/segments/list"):
            target.sync(box, only=["segments"])
    assert Container()[ConfigSectionContext].sections == ()
    assert target.sync(box, only=["segments"]).status == "complete"
