"""Types of the C core's `Aside`; see ``aside`` for what it does."""

class Aside:
    keeps: bool
    def take(self) -> list[tuple[list[bytes], bytes]]: ...
