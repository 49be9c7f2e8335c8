/* SPDX-License-Identifier: MIT */
/* mcp-bench-tally: a subscriber that measures. It reads events of a Redis channel, over a Unix socket, finds the server
 * that each is of, and takes the time since that server of the fleet sent its last notification, which stands in the
 * memory that it shares with the fleet. So a server must not send again before its event is there; the rate of each
 * server is low, however high that of all.
 *
 * It is small and fast so that it is not what is measured: events are not parsed but searched, times go into a
 * histogram of fixed size (three digits), and the clock is read once for what came in one piece.
 *
 *   mcp-bench-tally SOCKET CHANNEL SHARED-FILE     lines on stdin: reset, report; each is answered with one line */
#include "common/clock.h"
#include "tests/fleet/shared.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Below 2^11 us each has a bucket; above, each power of two has 1024. */
enum { EXACT_BITS = 11, PER_POWER = 1 << (EXACT_BITS - 1), BUCKETS = PER_POWER * 40, INPUT_SIZE = 256 * 1024 };

struct tally {
    const struct shared *shared;
    uint64_t buckets[BUCKETS];
    uint64_t received, unknown, longest_us;
    char input[INPUT_SIZE];
    size_t kept; /* bytes of the input that are the beginning of an event, maybe */
};

static size_t bucket_of(uint64_t us)
{
    unsigned shift = 0;
    while (us >> shift >= (uint64_t)1 << EXACT_BITS)
        shift++;
    size_t bucket = (size_t)shift * PER_POWER + (size_t)(us >> shift);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static uint64_t time_of(size_t bucket)
{
    if (bucket < (size_t)2 * PER_POWER)
        return bucket;
    size_t shift = bucket / PER_POWER - 1;
    return (uint64_t)(bucket - shift * PER_POWER) << shift;
}

static uint64_t percentile(const struct tally *tally, double part)
{
    uint64_t timed = tally->received - tally->unknown, before = 0;
    uint64_t wanted = (uint64_t)((double)timed * part);
    for (size_t i = 0; i < BUCKETS; i++) {
        before += tally->buckets[i];
        if (before > wanted)
            return time_of(i);
    }
    return 0;
}

static void count(struct tally *tally, unsigned long number, uint64_t now_us)
{
    tally->received++;
    uint64_t sent_us = number < tally->shared->server_count
                           ? atomic_load_explicit(&tally->shared->servers[number].sent_us, memory_order_relaxed)
                           : 0;
    if (sent_us == 0 || sent_us > now_us) {
        tally->unknown++;
        return;
    }
    uint64_t us = now_us - sent_us;
    tally->buckets[bucket_of(us)]++;
    if (us > tally->longest_us)
        tally->longest_us = us;
}

/* Counts the events in the input, and keeps what may be the beginning of another. */
static void search(struct tally *tally, size_t size)
{
    static const char KEY[] = "\"serverId\":\"s";
    const size_t key_size = sizeof(KEY) - 1;
    const char *at = tally->input, *end = tally->input + size, *found;
    uint64_t now_us = clock_wall_us();
    while ((found = memmem(at, (size_t)(end - at), KEY, key_size)) != NULL) {
        const char *digits = found + key_size;
        const char *quote = memchr(digits, '"', (size_t)(end - digits));
        if (!quote)
            break;
        count(tally, strtoul(digits, NULL, 10), now_us);
        at = quote;
    }
    if (!found && (size_t)(end - at) > key_size)
        found = end - key_size;
    if (found && found > at)
        at = found;
    tally->kept = (size_t)(end - at);
    memmove(tally->input, at, tally->kept);
}

static bool read_events(struct tally *tally, int fd)
{
    if (tally->kept == INPUT_SIZE)
        tally->kept = 0;
    ssize_t got = recv(fd, tally->input + tally->kept, INPUT_SIZE - tally->kept, 0);
    if (got <= 0)
        return false;
    search(tally, tally->kept + (size_t)got);
    return true;
}

static bool obey(struct tally *tally)
{
    char line[64];
    if (!fgets(line, sizeof(line), stdin))
        return false;
    printf("{\"received\":%" PRIu64 ",\"unknown\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64
           ",\"max\":%" PRIu64 "}\n",
           tally->received, tally->unknown, percentile(tally, 0.5), percentile(tally, 0.99), percentile(tally, 0.999),
           tally->longest_us);
    fflush(stdout);
    if (strcmp(line, "reset\n") == 0) {
        memset(tally->buckets, 0, sizeof(tally->buckets));
        tally->received = tally->unknown = tally->longest_us = 0;
    }
    return true;
}

static int subscribe(const char *path, const char *channel)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[256];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    snprintf(line, sizeof(line), "SUBSCRIBE %s\r\n", channel);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && send(fd, line, strlen(line), 0) > 0)
        return fd;
    int result = -errno;
    close(fd);
    return result;
}

int main(int argc, char *argv[])
{
    static struct tally tally;
    if (argc != 4) {
        fputs("usage: mcp-bench-tally SOCKET CHANNEL SHARED-FILE\n", stderr);
        return EXIT_FAILURE;
    }
    int result = shared_open(argv[3], &tally.shared);
    int fd = result == 0 ? subscribe(argv[1], argv[2]) : result;
    if (fd < 0) {
        fprintf(stderr, "mcp-bench-tally: %s\n", strerror(-fd));
        return EXIT_FAILURE;
    }
    setvbuf(stdin, NULL, _IONBF, 0); /* poll must see what is not read yet */
    struct pollfd ready[] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    bool goes_on = true;
    while (goes_on && poll(ready, ARRAY_LENGTH(ready), -1) > 0) {
        if (ready[0].revents)
            goes_on = read_events(&tally, fd);
        if (goes_on && ready[1].revents)
            goes_on = obey(&tally);
    }
    return EXIT_SUCCESS;
}
