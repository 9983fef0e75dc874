"""What schemathesis does not know by itself, for `schemathesis.toml`."""

import schemathesis


@schemathesis.serializer("application/x-sentry-envelope")
def envelope(ctx, value):
    """An envelope is text: whatever text it is given."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.deserializer("application/vnd.apache.arrow.stream")
def arrow(ctx, response):
    """A stream of Arrow is bytes; another test reads what is in them."""
    return response.content.decode("latin-1")
