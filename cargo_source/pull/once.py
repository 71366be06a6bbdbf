"""Work that is done once, however many ask for it."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """A result that is made by whoever asks first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made = False
        self._value: T
        self._error: BaseException | None = None

    def get(self, make: Callable[[], T]) -> T:
        """Give the result; make it first if nobody has. A failure is as final as a result."""
        with self._lock:
            if not self._made:
                try:
                    self._value = make()
                except BaseException as error:
                    self._error = error
                    raise
                finally:
                    self._made = True
            elif self._error is not None:
                raise self._error
            return self._value


class Onces:
    """Results by name, each made by whoever asks for it first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[object, Once[Any]] = {}

    def get(self, what: object, make: Callable[[], T]) -> T:
        """Give the result; others who ask meanwhile wait for it, and share its failure."""
        with self._lock:
            entry: Once[T] = self._made.setdefault(what, Once())
        return entry.get(make)
