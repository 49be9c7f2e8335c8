/* SPDX-License-Identifier: MIT */
/* The local end of the relay. Subscribers of this machine read events.sock whoever they are, as long as the file's
 * group lets them: nothing that goes out here is secret. A subscriber has a queue of its own in nng; what it does not
 * take in time is dropped for it alone, and the events' generations let it see that.
 */
#include "broker/hub/fanout.h"

#include "common/bus.h"
#include "common/log.h"
#include "common/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { MODE = 0660 };

struct fanout {
    struct bus_pub *pub;
};

int fanout_open(const struct config *config, struct fanout **out)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct fanout *fanout = calloc(1, sizeof(*fanout));
    int result = fanout ? paths_join(path, sizeof(path), config->run_dir, PATHS_EVENTS) : -ENOMEM;
    if (result == 0)
        result = bus_pub_open(&(struct bus_pub_options){.path = path,
                                                        .end = BUS_LISTEN,
                                                        .mode = MODE,
                                                        .queue = (int)config->subscriber_queue,
                                                        .pipes_max = (int)config->max_clients},
                              &fanout->pub);
    if (result != 0) {
        log_error("fanout.open", LOG_TEXT("socket", PATHS_EVENTS), LOG_TEXT("error", strerror(-result)));
        free(fanout);
        return result;
    }
    *out = fanout;
    return 0;
}

void fanout_send(struct fanout *fanout, const void *bytes, size_t size)
{
    int result = bus_pub_send(fanout->pub, bytes, size);
    if (result != 0)
        log_warn("fanout.send", LOG_TEXT("error", strerror(-result)));
}

uint64_t fanout_refused(const struct fanout *fanout)
{
    return bus_pub_refused(fanout->pub);
}

void fanout_close(struct fanout *fanout)
{
    if (!fanout)
        return;
    bus_pub_close(fanout->pub);
    free(fanout);
}
