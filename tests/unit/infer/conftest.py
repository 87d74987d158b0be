"""Fixtures of models."""

from __future__ import annotations

from tests.support.model_shop import notices, official_files, places, shop, stock

__all__ = ["notices", "official_files", "places", "shop", "stock"]
