"""The context of encrypted connections, from the settings `tls_ca`, `tls_certificate`, `tls_key` and `tls_verify`."""

import ssl

from asynctasq.errors import ConfigurationError


def client_context(
    section: str, *, ca: str | None, certificate: str | None, key: str | None, verify: bool
) -> ssl.SSLContext:
    """Return the context of a client's encrypted connections.

    Args:
        section: the section of the settings, for errors.
        ca: file of certificates to trust; None for those of the system.
        certificate: file of the client's certificate, if it has one.
        key: file of its key, unless it is in the same file.
        verify: False to accept any certificate of the server.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate:
            context.load_cert_chain(certificate, key)
    except OSError as error:
        raise ConfigurationError(
            f"{section}.tls_ca, tls_certificate and tls_key must be readable: {error}"
        ) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
