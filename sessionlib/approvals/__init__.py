"""Approval requests, the handlers that answer them, and the desk that sees to it that each gets one answer."""

from sessionlib.approvals.desk import ApprovalDesk
from sessionlib.approvals.handlers import check_handler
from sessionlib.approvals.reauth import ReauthHandler
from sessionlib.approvals.requests import ApprovalHandler, ApprovalRecord, ApprovalRequest, Decision, Remember

__all__ = [
    "ApprovalDesk",
    "ApprovalHandler",
    "ApprovalRecord",
    "ApprovalRequest",
    "Decision",
    "ReauthHandler",
    "Remember",
    "check_handler",
]
