"""Which datasets and models the sandbox's workspace has, as data."""

from cargo_source.sandbox.models.crm import CRM_MODELS
from cargo_source.sandbox.models.events import EVENT_MODELS
from cargo_source.sandbox.models.native import NATIVE_MODELS
from cargo_source.sandbox.models.odd import ODD_MODELS
from cargo_source.sandbox.models.spec import ModelSpec

MODELS: tuple[ModelSpec, ...] = (*NATIVE_MODELS, *CRM_MODELS, *EVENT_MODELS, *ODD_MODELS)

__all__ = ["MODELS", "ModelSpec"]
