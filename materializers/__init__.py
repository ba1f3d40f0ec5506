"""How each domain type that crosses a step is stored and shown in the ZenML dashboard; never pickle."""

from __future__ import annotations

from .model import ModelMaterializer
from .values import JsonMaterializer, TableMaterializer
from .views import VIEWS

__all__ = ["VIEWS", "JsonMaterializer", "ModelMaterializer", "TableMaterializer"]
