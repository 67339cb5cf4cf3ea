"""Errors and HTTP calls under the official SDK's module name, for type checkers."""

from sessionlib.client import RequestClient as RequestClient
from sessionlib.client import request_client as request_client
from sessionlib.errors import *  # noqa: F403

async_request_client = request_client
AsyncRequestClient = RequestClient
