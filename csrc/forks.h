/* forks.h: how often the process has been forked, so that no child goes on with its parent's session (floor 1).
 *
 * libc calls it back in every child of fork(), whoever forks: Python's own hooks see os.fork alone.
 */
#ifndef ZS_FORKS_H
#define ZS_FORKS_H

#include <stdbool.h>
#include <stdint.h>

/* Count from now on; false: out of memory. Each library that this is linked into counts for itself. */
bool zs_forks_watch(void);

uint64_t zs_forks(void);

#endif
