"""What a client certificate calls its owner."""


def name_in(pem: bytes) -> str:
    """The subject as RFC 4514 writes it (`CN=web,O=Shop`); where it is empty, as with SPIFFE, the alternative names."""
    from cryptography import x509  # only servers that have TLS need it, and only when somebody administrates them

    certificate = x509.load_pem_x509_certificate(pem)
    if subject := certificate.subject.rfc4514_string():
        return subject
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    return ",".join(str(name.value) for name in names)
