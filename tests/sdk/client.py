"""One call through the Python SDK; prints what the SDK made of it as JSON."""

import json
import sys

from seam import Seam, SeamHttpApiError, SeamHttpInvalidInputError, SeamHttpUnauthorizedError

call, fields = sys.argv[1], json.loads(sys.argv[2])
entrances = Seam().acs.entrances


def ids(found):
    return {"ids": sorted(entrance.acs_entrance_id for entrance in found)}


def pages():
    seam = Seam()
    return seam.create_paginator(seam.acs.entrances.list, fields).flatten_to_list()


try:
    if call == "grant":
        result = {"granted": entrances.grant_access(**fields) is None}
    elif call == "get":
        result = {"name": entrances.get(**fields).display_name}
    elif call == "list":
        result = ids(entrances.list(**fields))
    else:
        result = ids(pages())
except SeamHttpApiError as error:
    kind = "api"
    if isinstance(error, SeamHttpUnauthorizedError):
        kind = "unauthorized"
    if isinstance(error, SeamHttpInvalidInputError):
        kind = "invalid_input"
    result = {
        "error": kind,
        "code": error.code,
        "status": error.status_code,
        "request_id": error.request_id,
    }
    if kind == "invalid_input" and hasattr(error, "get_validation_error_messages"):
        result["validation"] = error.get_validation_error_messages("acs_entrance_id")
print(json.dumps(result))
