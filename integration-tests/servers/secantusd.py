"""Starts SecantusDB with `_id` lookups by primary key for document ids, too.

SecantusDB 0.7 finds `{_id: 5}` by its primary key but `{_id: {"id": 5}}` by reading the whole collection. The ids that
the Debezium handlers write are documents, so every upsert would cost a scan. The key of a document id is computed in the
same way as that of any other id, and the server checks every candidate against the filter again: answers stay the same.
"""

import sys
from collections.abc import Mapping

from secantus import storage
from secantus.cli import main

scalar_keys = storage._id_point_lookup_keys


def point_lookup_keys(spec):
    """The primary keys that an `_id` equality names, or None where the server has to look for itself."""
    if isinstance(spec, Mapping) and spec and not any(str(key).startswith("$") for key in spec):
        return [storage._id_key(spec)]
    return scalar_keys(spec)


storage._id_point_lookup_keys = point_lookup_keys
sys.exit(main())
