"""What clients and loops say of themselves that need nothing but Python."""


class BuiltIn:
    """A client or a loop that is always there, and brings no library."""

    @staticmethod
    def available() -> str | None:
        """Return None: it is always there."""
        return None

    @staticmethod
    def versions() -> dict[str, str]:
        """Return nothing: there is no library behind it."""
        return {}
