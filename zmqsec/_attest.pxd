# _attest.pxd: what signs and what verifies, as the session and the receiver use them (floor 8).
from ._c cimport *


cdef class Attester:
    cdef zs_attester attester
    cdef readonly object identity
    cdef readonly bytes routing_id


cdef int fill_route(zs_span *spans, object frames) except -1
cdef object topic_of(const zs_open_item *item)
cdef tuple signers_of(const zs_open_item *item)
cdef bytes name_of(const zs_open_item *item)
