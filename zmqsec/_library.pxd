# _library.pxd: the one table of library functions, for the other extension modules (floor 8).
from ._c cimport *

cdef zs_libs *engine_libs() noexcept
