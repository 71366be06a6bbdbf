"""Which column of a source goes where: by name, by label, by a mapping, and what is said where none does."""

import re

import pytest

from cargo_source.errors import BadSettings
from cargo_source.pull.records import list_models
from cargo_source.pull.shaping import FOLD
from cargo_source.push.target import Target
from tests.push.playing import opened
