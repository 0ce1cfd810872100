"""A build tool for LLM training data: recipes in, files for trainers out, and only what changed is rebuilt.

>>> import datac
>>> ws = datac.Workspace("corpus", hub="sample")
>>> ws.build("sft/*")
>>> ws["sft/general"].train[0]["conversations"]
"""

from ._datac import VERSION as __version__
from ._errors import (
    BugError,
    CacheError,
    ConfigError,
    DatacError,
    LockedError,
    LockError,
    PolicyError,
    RecipeError,
    SourceError,
)
from ._functions import Reject, converter, filter, scorer
from ._output import Output
from ._workspace import Dropped, Recipe, Sides, Statuses, Workspace

__all__ = [
    "BugError",
    "CacheError",
    "ConfigError",
    "DatacError",
    "Dropped",
    "LockError",
    "LockedError",
    "Output",
    "PolicyError",
    "Recipe",
    "RecipeError",
    "Reject",
    "Sides",
    "SourceError",
    "Statuses",
    "Workspace",
    "__version__",
    "converter",
    "filter",
    "scorer",
]
