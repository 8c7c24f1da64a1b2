"""Errors of SQS and its client as errors of asynctasq that name the remedy."""

from collections.abc import Mapping
from typing import Any

from asynctasq.errors import DriverError, DriverUnavailable

MISSING = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
EXISTS_OTHERWISE = frozenset({"QueueAlreadyExists", "QueueNameExists"})
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AccessDeniedFault"})
NOT_A_LEASE = frozenset(
    {
        "ReceiptHandleIsInvalid", "InvalidParameterValue", "InvalidParameterValueException",
        "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "InvalidReceiptHandle",
    }
)  # fmt: skip
"""The message was deleted, or delivered again, or 12 hours have passed."""
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_CREDENTIALS = frozenset(
    {
        "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure",
        "InvalidSecurity", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
        "IncompleteSignature", "InvalidAccessKeyId", "NotAuthorized", "OptInRequired",
    }
)  # fmt: skip
_UNAVAILABLE = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestLimitExceeded",
        "TooManyRequestsException", "SlowDown", "BandwidthLimitExceeded", "KmsThrottled", "OverLimit",
        "ServiceUnavailable", "InternalError", "InternalFailure", "InternalServerError", "RequestTimeout",
        "AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently",
        "RequestExpired",  # the clock of this machine was corrected in between
    }
)  # fmt: skip
_SERVER_ERROR = 500
_CLIENT_CAUSES: Mapping[str, str] = {
    "NoCredentialsError": "No AWS credentials were found. Set a profile, a role or keys",
    "PartialCredentialsError": "The AWS credentials are incomplete. Set both the key and its secret",
    "CredentialRetrievalError": "The AWS credentials cannot be retrieved. Check the profile and the role",
    "NoRegionError": "The AWS region must be set. Set `region`, for example sqs://eu-central-1",
    "ProfileNotFound": "The AWS profile was not found. Check `profile` and the files in ~/.aws",
    "TokenRetrievalError": "The SSO session has expired. Run `aws sso login`",
    "SSOTokenLoadError": "The SSO session has expired. Run `aws sso login`",
    "UnauthorizedSSOTokenError": "The SSO session has expired. Run `aws sso login`",
    "InvalidRegionError": "The AWS region is not valid. Check `region`",
    "ParamValidationError": "The AWS client refused a parameter",
}


class QueueMissing(DriverError):
    """The queue does not exist in SQS."""


def code_of(error: BaseException) -> str:
    """Return the code of an error of SQS; empty if the client raised it."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    return str(response.get("Error", {}).get("Code", ""))


def translated(error: BaseException, place: str) -> DriverError:
    """Return the error to raise in place of one that the client raised."""
    code = code_of(error)
    text = " ".join(str(error).split()) or type(error).__qualname__
    if code:
        response: Any = getattr(error, "response", {})
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return of_code(code, text, place, is_server_error=status >= _SERVER_ERROR)
    cause = next(
        (
            _CLIENT_CAUSES[kind.__name__]
            for kind in type(error).__mro__
            if kind.__name__ in _CLIENT_CAUSES
        ),
        "",
    )
    if cause:
        return DriverError(f"{cause} ({text}).")
    return DriverUnavailable(f"{place} cannot be reached now ({text}).")


def of_code(code: str, text: str, place: str, *, is_server_error: bool = False) -> DriverError:
    """Return the error for a code of SQS, of a whole call or of one entry of a batch."""
    if code in MISSING:
        return QueueMissing(f"{place} has no such queue ({text}).")
    if code in _UNAVAILABLE or is_server_error:
        return DriverUnavailable(f"{place} cannot serve the call now ({text}).")
    if code in _EXPIRED:
        return DriverError(f"{place} refused credentials that have expired. Renew them ({text}).")
    if code in _CREDENTIALS:
        return DriverError(
            f"{place} refused the credentials. Check the keys, the profile and the role ({text})."
        )
    if code in DENIED:
        return DriverError(
            f"{place} denied the call. Give the user or the role this right ({text})."
        )
    return DriverError(f"{place} refused the call ({text}).")
