"""The domain: what a churn lifecycle is, in plain Python that knows no store, cloud or orchestrator."""
