"""The marks of hooks, through which plugins reach the core.

A plugin is a module or object named by an entry point of the group ``mmvae``; it marks its hooks
with ``@mmvae.hookimpl``. There is one hook for each role of :mod:`mmvae.plugins.roles`.
"""

from __future__ import annotations

import pluggy

hookspec = pluggy.HookspecMarker("mmvae")
hookimpl = pluggy.HookimplMarker("mmvae")
