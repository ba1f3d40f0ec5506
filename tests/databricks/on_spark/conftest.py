"""These tests need Sail, which is in an environment of its own: tests/databricks/test_on_spark.py runs them there."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("pysail") else ["test_*.py"]
