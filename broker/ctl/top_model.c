/* SPDX-License-Identifier: MIT */
/* The state of `top`. Rates are differences of counters, which the table keeps over restarts of a process; where one went
 * backwards there is another table, and the rate is not known for a moment.
 *
 * What is selected is a server, not a line: when the order changes under the eyes of who looks, the selection goes with
 * the server, so that `r` never means another one than it did when it was pressed. */
#include "broker/ctl/top_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    HEADER_LINES = 4, /* the broker, states, rates, a blank one */
    FOOTER_LINES = 1,
    MESSAGE_TICKS = 5,
    PICK_MIN = 100,
    PICK_MAX = 1000 /* as many as one answer has */
};

void top_model_begin(struct top_model *model)
{
    *model = (struct top_model){.order = ROW_ORDER_STATE, .state = -1};
}

void top_model_end(struct top_model *model)
{
    json_decref(model->status);
    json_decref(model->workers);
    json_decref(model->hub);
    json_decref(model->servers);
    json_decref(model->server);
}

static void replace(json_t **to, json_t *value)
{
    json_incref(value);
    json_decref(*to);
    *to = value;
}

bool top_model_is_open(const struct top_model *model)
{
    return model->mode == TOP_SERVER || (model->mode == TOP_CONFIRM && model->before == TOP_SERVER);
}

/* --- the layout --- */

unsigned top_model_worker_lines(const struct top_model *model)
{
    size_t count = json_array_size(model->workers);
    size_t room = model->height / 4;

    if (model->height < TOP_HEIGHT_MIN || count == 0)
        return 0;
    return (unsigned)(count < room ? count : room);
}

unsigned top_model_server_lines(const struct top_model *model)
{
    unsigned workers = top_model_worker_lines(model);
    unsigned used = HEADER_LINES + (workers > 0 ? workers + 2 : 0) + 1 + FOOTER_LINES; /* heads, and a blank line */

    return model->height > used ? model->height - used : 1;
}

static void keep_in_sight(struct top_model *model)
{
    unsigned lines = top_model_server_lines(model);

    if (model->selected < model->first)
        model->first = model->selected;
    else if (model->selected >= model->first + lines)
        model->first = model->selected - lines + 1;
}

void top_model_resize(struct top_model *model, unsigned width, unsigned height)
{
    model->width = width;
    model->height = height;
    keep_in_sight(model);
}

/* --- the selection --- */

static const char *id_at(const struct top_model *model, size_t index)
{
    const char *id = json_string_value(json_object_get(json_array_get(model->servers, index), "serverId"));

    return id != NULL ? id : "";
}

static void select_at(struct top_model *model, size_t index)
{
    size_t count = json_array_size(model->servers);

    model->selected = index < count ? index : count > 0 ? count - 1 : 0;
    snprintf(model->id, sizeof model->id, "%s", id_at(model, model->selected));
    keep_in_sight(model);
}

void top_model_move(struct top_model *model, long by)
{
    size_t back = by < 0 ? (size_t)-by : 0;

    if (by >= 0)
        select_at(model, model->selected + (size_t)by);
    else
        select_at(model, back < model->selected ? model->selected - back : 0);
}

/* --- what was told --- */

void top_model_status(struct top_model *model, json_t *data)
{
    replace(&model->status, data);
}

void top_model_servers(struct top_model *model, json_t *data)
{
    json_t *servers = json_object_get(data, "servers");
    size_t index = model->selected;

    model->matching = (uint64_t)json_integer_value(json_object_get(data, "matching"));
    replace(&model->servers, servers);
    if (model->selected > 0) /* who has not moved wants to see what comes first */
        for (size_t i = 0; i < json_array_size(servers); i++)
            if (strcmp(id_at(model, i), model->id) == 0)
                index = i;
    if (model->mode == TOP_LIST || model->mode == TOP_HELP)
        select_at(model, index);
}

void top_model_server(struct top_model *model, json_t *data)
{
    replace(&model->server, data);
    if (data != NULL || !top_model_is_open(model))
        return;
    model->mode = TOP_LIST;
    top_model_message(model, "%s: no such server any more", model->id);
}

void top_model_message(struct top_model *model, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(model->message, sizeof model->message, format, arguments);
    va_end(arguments);
    model->message_age = 0;
}

void top_model_tick(struct top_model *model)
{
    if (model->message[0] != '\0' && ++model->message_age >= MESSAGE_TICKS)
        model->message[0] = '\0';
}

/* --- rates --- */

static uint64_t counter_of(const json_t *slot, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(json_object_get(slot, "counters"), name));

    return value > 0 ? (uint64_t)value : 0;
}

static double rate(uint64_t before, uint64_t now, uint64_t ms)
{
    return now > before ? (double)(now - before) * 1000.0 / (double)ms : 0;
}

static void count(struct top_model *model, size_t index, const json_t *slot, uint64_t mono_ms)
{
    const struct top_counts before = model->counts[index];
    struct top_counts now = {.at_ms = mono_ms,
                             .notifications = counter_of(slot, "notifications"),
                             .connects = counter_of(slot, "connects"),
                             .published = counter_of(slot, "published")};
    uint64_t ms = mono_ms - before.at_ms;

    if (before.at_ms != 0 && ms == 0)
        return;
    model->counts[index] = now;
    model->rates[index] = (struct top_rates){0};
    if (before.at_ms == 0)
        return;
    model->rates[index] = (struct top_rates){.notifications = rate(before.notifications, now.notifications, ms),
                                             .connects = rate(before.connects, now.connects, ms),
                                             .published = rate(before.published, now.published, ms)};
}

void top_model_workers(struct top_model *model, json_t *data, uint64_t mono_ms)
{
    json_t *workers = json_object_get(data, "workers"), *hub = json_object_get(data, "hub");
    const json_t *worker;
    size_t i;

    replace(&model->workers, workers);
    replace(&model->hub, hub);
    count(model, TOP_SLOTS, hub, mono_ms);
    model->all = (struct top_rates){.published = model->rates[TOP_SLOTS].published};
    json_array_foreach (workers, i, worker) {
        json_int_t slot = json_integer_value(json_object_get(worker, "worker"));
        if (slot < 0 || slot >= TOP_SLOTS)
            continue;
        count(model, (size_t)slot, worker, mono_ms);
        model->all.notifications += model->rates[slot].notifications;
        model->all.connects += model->rates[slot].connects;
    }
    keep_in_sight(model); /* there may be more of them, or fewer */
}

/* --- what to ask for --- */

struct row_pick_options top_model_wanted(const struct top_model *model)
{
    uint32_t limit = (uint32_t)(model->first + (size_t)2 * model->height);

    return (struct row_pick_options){
        .filter = {.text = model->text[0] != '\0' ? model->text : NULL, .worker = -1, .state = model->state},
        .order = model->order,
        .limit = limit < PICK_MIN   ? PICK_MIN
                 : limit > PICK_MAX ? PICK_MAX
                                    : limit};
}

json_t *top_model_question(const struct top_model *model)
{
    struct row_pick_options wanted = top_model_wanted(model);
    json_t *args = json_pack("{s:s, s:I}", "sort", row_order_name(wanted.order), "limit", (json_int_t)wanted.limit);
    bool ok = args != NULL;

    if (ok && wanted.filter.text != NULL)
        ok = json_object_set_new(args, "text", json_string(wanted.filter.text)) == 0;
    if (ok && wanted.filter.state >= 0)
        ok = json_object_set_new(args, "state", json_string(state_name((unsigned)wanted.filter.state))) == 0;
    if (ok)
        return args;
    json_decref(args);
    return NULL;
}
