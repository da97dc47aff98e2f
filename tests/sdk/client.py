"""One grant through the Python SDK; prints what the SDK made of it as JSON."""

import json
import sys

from seam import Seam, SeamHttpApiError, SeamHttpInvalidInputError, SeamHttpUnauthorizedError

fields = json.loads(sys.argv[1])
try:
    value = Seam().acs.entrances.grant_access(**fields)
    result = {"granted": value is None}
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
