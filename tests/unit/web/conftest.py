"""Fixtures of pages."""

from __future__ import annotations

from tests.support.pages import allowed, browser, chromium, clock, crew, page, scene, serve, site, visit

__all__ = ["allowed", "browser", "chromium", "clock", "crew", "page", "scene", "serve", "site", "visit"]
