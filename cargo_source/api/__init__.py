"""TALK: HTTP only. Knows no entity, no dlt and no dataframe."""

from cargo_source.api.answers import Reply
from cargo_source.api.async_client import AsyncCargoClient
from cargo_source.api.client import CargoClient
from cargo_source.api.links import Download
from cargo_source.api.pacer import Pacer
from cargo_source.api.stats import Counts, Stats

__all__ = ["AsyncCargoClient", "CargoClient", "Counts", "Download", "Pacer", "Reply", "Stats"]
