# _deliver.pxd: how opened messages are handed out (floor 8).
from ._c cimport *

cdef int deliver_subscription(zs_channel *channel, list out, size_t i, int form) except -1
cdef bytes leaf_of(zs_channel *channel, size_t i, zs_open_item *item)
cdef int deliver(zs_channel *channel, list out, size_t i, zs_open_item *item, int form, bint copy) except -1
