# _deliver.pxd: how opened messages are handed out (floor 9).
from ._c cimport *
from ._engine cimport Receiver

cdef int deliver_subscription(zs_channel *channel, list out, list fronts, size_t i, int form) except -1
cdef list front_of(zs_channel *channel, size_t i)
cdef bytes part_of(zs_channel *channel, size_t i)
cdef bytes leaf_of(zs_channel *channel, size_t i, zs_open_item *item)
cdef size_t deliver_leaves(zs_channel *channel, list out, list fronts, const zs_open_item *items,
                           size_t count) except? 0xFFFFFFFF
cdef int deliver(zs_channel *channel, Receiver receiver, list out, size_t i, zs_open_item *item, int form,
                 bint copy) except -1
