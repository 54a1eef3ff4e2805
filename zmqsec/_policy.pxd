# _policy.pxd: what a lane asks about its messages, as the loop uses it (floor 9).
from ._relay_c cimport *


cdef class Policy:
    cdef zs_policy policy
    cdef object kept
    cdef readonly object peers
