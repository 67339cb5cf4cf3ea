"""MCP servers under the official SDK's module name, for type checkers."""

from sessionlib.agent.models import McpServer as McpServer
