"""Helpers for authors, on the public API alone: tasks, operations, fan-out, notifications, moving files."""
