/* SPDX-License-Identifier: MIT */
/* The memory is one mapping, made before the processes of the fleet are forked and never unmapped. A measuring program
 * maps the same file: it then has the time at which a server sent without any message that would disturb what is
 * measured. Words are written relaxed: a reader learns of a notification long after the time was stored. */
#include "tests/fleet/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t MAGIC = UINT64_C(0x317465656c66706d);

const char *const shared_counter_names[SHARED_COUNTERS] = {
#define COUNTER(symbol, name) [SHARED_##symbol] = (name),
#include "tests/fleet/counters.def"
};

int shared_create(const char *path, size_t server_count, struct shared **out)
{
    size_t size = sizeof(struct shared) + server_count * sizeof(struct shared_server);
    int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : memfd_create("fleet", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = 0;
    struct shared *shared = MAP_FAILED;
    if (ftruncate(fd, (off_t)size) == 0)
        shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        result = -errno;
    close(fd);
    if (result != 0)
        return result;
    shared->magic = MAGIC;
    shared->size = size;
    shared->server_count = server_count;
    *out = shared;
    return 0;
}

static bool is_shared(const struct shared *shared, size_t size)
{
    return shared->magic == MAGIC && shared->size == size &&
           shared->server_count == (size - sizeof(struct shared)) / sizeof(struct shared_server);
}

int shared_open(const char *path, const struct shared **out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat info;
    int result = -EPROTO;
    if (fstat(fd, &info) != 0 || (size_t)info.st_size < sizeof(struct shared))
        goto close;
    size_t size = (size_t)info.st_size;
    struct shared *shared = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) {
        result = -errno;
    } else if (is_shared(shared, size)) {
        *out = shared;
        result = 0;
    } else {
        munmap(shared, size);
    }
close:
    close(fd);
    return result;
}

uint64_t shared_sum(const struct shared *shared, enum shared_counter counter)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++)
        sum += atomic_load_explicit(&shared->counters[i][counter], memory_order_relaxed);
    return sum;
}
