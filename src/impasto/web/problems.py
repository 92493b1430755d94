"""What a request can be refused for; each error has an HTTP status."""

from impasto.errors import ImpastoError


class RequestError(ImpastoError):
    """A request that cannot be fulfilled."""

    status = 400


class UnauthorizedError(RequestError):
    """No token, or a wrong one."""

    status = 401


class ForbiddenError(RequestError):
    """A request from another site."""

    status = 403


class UnknownError(RequestError):
    """No such job, file or setting."""

    status = 404


class SlowError(RequestError):
    """A body that arrives too slowly."""

    status = 408


class ConflictError(RequestError):
    """What is asked for does not fit the state of the job."""

    status = 409


class TooLargeError(RequestError):
    """A body that is too large."""

    status = 413


class NotAnImageError(RequestError):
    """An upload that is not a usable image."""

    status = 415


class HostError(RequestError):
    """A name of this server that it does not know."""

    status = 421


class TooManyError(RequestError):
    """Too many requests of one client."""

    status = 429


class BusyError(RequestError):
    """The server has as many clients as it can have."""

    status = 503


class FullError(RequestError):
    """The disk is full."""

    status = 507
