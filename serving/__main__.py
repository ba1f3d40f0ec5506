"""The endpoint in the background: `python -m serving`, with its options in the environment."""

from __future__ import annotations

import os
import sys

from churn.core.errors import ChurnError
from churn.lifecycle.serve_options import ServeOptions

from .server import OPTIONS, serve

if __name__ == "__main__":
    try:
        serve(ServeOptions.model_validate_json(os.environ[OPTIONS]), lambda address: None)
    except ChurnError as error:
        sys.exit(str(error))
