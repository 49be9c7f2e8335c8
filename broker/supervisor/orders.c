/* SPDX-License-Identifier: MIT */
/* The texts of what the supervisor tells its children: when to tell is its own business, how it is written is that of this
 * file. The hub reads them in broker/hub/main.c, a worker in worker/main.c. A message that does not fit its link is not
 * sent, which is logged; the child goes on with what it knows. */
#include "broker/supervisor/orders.h"

#include "common/link.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

void orders_send_config(struct child *child, const char *word, const char *head, const struct config *config)
{
    struct buf message;
    buf_init(&message, LINK_MESSAGE_MAX);
    char *text = config_encode(config);
    if (text != NULL && buf_printf(&message, "%s\n%s", head, text) == 0)
        child_send(child, word, buf_text(&message));
    else
        log_error("config.not_sent", LOG_TEXT("child", child_name(child)), LOG_TEXT("error", "too long"));
    free(text);
    buf_fini(&message);
}

/* A wanted worker that will not live is tried again now and then; until it does its servers are with the others. */
static bool is_in_service(const struct child *worker)
{
    return worker != NULL && child_state(worker) != PROCESS_FAILED;
}

static int write_slots(struct child *const *workers, unsigned wanted, bool that_are, struct buf *out)
{
    int result = 0;
    for (unsigned slot = 0; slot < wanted && result == 0; slot++)
        if (is_in_service(workers[slot]) == that_are)
            result = buf_printf(out, "%s%u", out->size > 0 ? " " : "", slot);
    return result;
}

void orders_send_slots(struct child *hub, struct child *const *workers, unsigned wanted, bool in_any_case,
                       struct buf *told)
{
    struct buf slots;
    buf_init(&slots, ORDERS_SLOTS_MAX);
    int result = write_slots(workers, wanted, true, &slots);
    if (result == 0)
        result = buf_append_text(&slots, " out");
    if (result == 0)
        result = write_slots(workers, wanted, false, &slots);
    if (result == 0 && (in_any_case || strcmp(buf_text(&slots), buf_text(told)) != 0)) {
        child_send(hub, "slots", buf_text(&slots));
        buf_fini(told);
        *told = slots;
    } else {
        buf_fini(&slots);
    }
}

void orders_send_report(struct child *hub, const json_t *report)
{
    char *text = json_dumps(report, JSON_COMPACT);
    if (text != NULL)
        child_send(hub, "configured", text);
    free(text);
}
