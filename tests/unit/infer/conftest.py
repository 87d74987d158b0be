"""Fixtures of models."""

from __future__ import annotations

from tests.support.model_shop import official_files, places, shop, stock

__all__ = ["official_files", "places", "shop", "stock"]
