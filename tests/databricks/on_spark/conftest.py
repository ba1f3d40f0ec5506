"""These tests need Sail, which is in an environment of its own: test_on_spark.py and test_connected.py start them."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("pysail") else ["test_*.py"]
collect_ignore = [] if find_spec("mlflow") else ["test_connected.py"]
