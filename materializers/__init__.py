"""How each domain type that crosses a step is stored and shown in the ZenML dashboard; never pickle."""
