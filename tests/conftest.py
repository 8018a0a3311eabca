from __future__ import annotations

pytest_plugins = ["paglets.testing.plugin"]
