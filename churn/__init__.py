"""The domain in plain Python: it knows no store, cloud or orchestrator."""
