"""Where the program begins, installed, frozen, or with ``python -m edge``."""

# What is imported here is paid by every start, `paglets --version` among them, and by every hidden start of a
# zygote or child: nothing but `sys` until it is known which start this is.
# ruff: noqa: PLC0415

from __future__ import annotations

import sys


def main() -> int:
    """Run the program with ``sys.argv``; the exit code."""
    if sys.argv[1:] == ["--version"]:
        from edge.version import VERSION

        sys.stdout.write(f"paglets {VERSION}\n")
        return 0
    if getattr(sys, "frozen", False):
        from edge.frozen import prepare

        prepare(sys.argv)
    from paglets.runtime.launchers.entry import maybe_run

    if maybe_run(sys.argv):
        return 0
    from paglets.tooling.inspected import maybe_inspect

    maybe_inspect(sys.argv)
    from edge.hosting import host, is_host

    if is_host(sys.argv[1:]):
        return host(sys.argv[1:])
    from edge.cli.app import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
