"""`/api/v2/delete`."""

from pyagent.sandbox.http import Route

ROUTES: list[Route] = []
