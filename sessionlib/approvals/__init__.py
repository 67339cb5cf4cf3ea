"""Approval requests, the handlers that answer them, and the desk that sees to it that each gets one answer."""

from sessionlib.approvals.handlers import check_handler
from sessionlib.approvals.manager import ApprovalDesk
from sessionlib.approvals.models import ApprovalHandler, ApprovalRecord, ApprovalRequest, Decision, Remember
from sessionlib.approvals.reauth import ReauthHandler

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
