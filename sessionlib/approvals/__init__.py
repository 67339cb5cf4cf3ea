"""Approval requests, the handlers that answer them, and the manager that gets each of them one answer."""

from sessionlib.approvals.handlers import check_handler
from sessionlib.approvals.manager import ApprovalManager
from sessionlib.approvals.models import ApprovalHandler, ApprovalRecord, ApprovalRequest, Decision, Remember
from sessionlib.approvals.reauth import ReauthHandler

__all__ = [
    "ApprovalHandler",
    "ApprovalManager",
    "ApprovalRecord",
    "ApprovalRequest",
    "Decision",
    "ReauthHandler",
    "Remember",
    "check_handler",
]
