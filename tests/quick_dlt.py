"""dlt, with what it asks itself over and over remembered: importing this takes a third off a small sync's time.

It resolves its destination's settings forty times a sync, and asks each time anew what the types of the fields mean
and under which names the environment might hold them. These functions look at nothing but what they are given.
"""

import copy
import functools
import sys
from types import SimpleNamespace

import dlt.common.validation
import dlt.extract.extract
import dlt.pipeline.pipeline
from dlt.common import typing
from dlt.common.configuration.providers.doc import BaseDocProvider
from dlt.common.configuration.providers.environ import EnvironProvider
from dlt.common.configuration.specs import base_configuration
from dlt.destinations import duckdb

PURE = (
    typing.extract_inner_type,
    typing.extract_union_types,
    typing.get_type_name,
    typing.is_annotated,
    typing.is_callable_type,
    typing.is_dict_generic_type,
    typing.is_list_generic_type,
    typing.is_literal_type,
    typing.is_newtype_type,
    typing.is_optional_type,
    typing.is_typeddict,
    typing.is_union_type,
    base_configuration.extract_inner_hint,
    base_configuration.is_base_configuration_inner_hint,
    base_configuration.is_context_inner_hint,
    base_configuration.is_credentials_inner_hint,
    base_configuration.is_hint_not_resolvable,
    base_configuration.is_secret_hint,
)


def _remember() -> None:
    remembered = {function.__name__: (function, functools.cache(function)) for function in PURE}
    for module in [module for name, module in sys.modules.items() if name.startswith("dlt.")]:
        for name, (function, cached) in remembered.items():
            if vars(module).get(name) is function:
                setattr(module, name, cached)
    for provider in (BaseDocProvider, EnvironProvider):
        provider.get_key_name = staticmethod(functools.cache(provider.get_key_name))
    hints_of = dlt.common.validation.get_type_hints
    # The other argument is where the type was defined.
    found = functools.cache(lambda spec: hints_of(spec, globalns=vars(sys.modules[spec.__module__])))
    dlt.common.validation.get_type_hints = lambda spec, globalns=None: found(spec)


def _remember_capabilities() -> None:
    """What DuckDB can do depends on no settings but those that a pipeline gives it by name."""
    work_out, found = duckdb.capabilities, {}

    def capabilities(self, config=None, naming=None):
        if config is not None:
            return work_out(self, config, naming)
        key = naming and (type(naming), naming.max_length), repr(self.caps_params)
        if key not in found:
            found[key] = work_out(self, config, naming)
        # Who asks may change what they are given.
        return copy.copy(found[key])

    duckdb.capabilities = capabilities


def _write_no_hints() -> None:
    """How an extract's report would show the hints of tables, which nobody reads here."""
    dlt.extract.extract.yaml = SimpleNamespace(dump=lambda *_, **__: "")


_remember()
_remember_capabilities()
_write_no_hints()
