/* SPDX-License-Identifier: MIT */
/* What stands on the screen of `top`, line by line. Servers, and one server, look as `states` and `show` print them. Each
 * line is written as to a file, with the functions that keep control characters out, and is cut to the screen at the end:
 * so whatever a server says of itself, it can neither reach the terminal nor the next line. */
#include "broker/ctl/top_page.h"

#include "broker/ctl/field.h"
#include "broker/ctl/format.h"
#include "broker/ctl/view.h"
#include "common/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct page {
    struct top_model *model;
    uint64_t now_ms;
    void (*put)(void *user, unsigned line, enum top_look look, const char *text);
    void *user;
    unsigned line;
    FILE *out; /* the line that is being written */
    char *text;
    size_t size;
    int result;
};

/* NULL without memory: then end_line does nothing. */
static FILE *begin_line(struct page *page)
{
    page->out = open_memstream(&page->text, &page->size);
    if (page->out == NULL)
        page->result = -ENOMEM;
    return page->out;
}

/* Cuts, and puts what was written, or as many lines of it as there is room for. */
static void put_text(struct page *page, enum top_look look, const char *text)
{
    char *cut = NULL;
    size_t size;
    FILE *out = page->line < page->model->height ? open_memstream(&cut, &size) : NULL;

    if (out != NULL) {
        format_cell(out, text, 0, page->model->width);
        if (fclose(out) == 0)
            page->put(page->user, page->line, look, cut);
        else
            page->result = -ENOMEM;
        free(cut);
    }
    page->line++;
}

static void end_line(struct page *page, enum top_look look)
{
    if (page->out == NULL)
        return;
    if (fclose(page->out) == 0) {
        page->text[strcspn(page->text, "\n")] = '\0';
        put_text(page, look, page->text);
    } else {
        page->result = -ENOMEM;
    }
    free(page->text);
    page->out = NULL;
    page->text = NULL;
}

/* --- the broker --- */

static void put_broker(struct page *page)
{
    const struct top_model *model = page->model;
    const json_t *redis = json_object_get(model->status, "redis");
    uint64_t started_ms = field_number(model->status, "startedAt");
    bool is_redis_well =
        strcmp(field_text(redis, "state"), "up") == 0 || strcmp(field_text(redis, "state"), "off") == 0;
    char clock[FORMAT_TIME_SIZE], words[DURATION_TEXT_SIZE];
    FILE *out = begin_line(page);

    if (out == NULL)
        return;
    if (model->gone_ms != 0) {
        fprintf(
            out, "%s  the hub does not answer, for %s now", format_clock(page->now_ms, clock),
            duration_words(page->now_ms > model->gone_ms ? (page->now_ms - model->gone_ms) / 1000 * 1000 : 0, words));
        fputs(": this is what the table says", out);
        end_line(page, TOP_BAD);
        return;
    }
    fprintf(out, "%s  mcp-broker ", format_clock(page->now_ms, clock));
    format_text(out, field_text(model->status, "version"));
    if (started_ms > 0 && page->now_ms > started_ms)
        fprintf(out, ", up %s", duration_words((page->now_ms - started_ms) / 1000 * 1000, words));
    fputs(", redis ", out);
    format_text(out, field_text(redis, "state"));
    if (field_text(redis, "error")[0] != '\0') {
        fputs(": ", out);
        format_text(out, field_text(redis, "error"));
    }
    end_line(page, is_redis_well ? TOP_STRONG : TOP_BAD);
}

static void put_states(struct page *page)
{
    json_t *states = json_object_get(page->model->status, "servers");
    const char *between = ": ";
    FILE *out = begin_line(page);
    const char *name;
    json_t *number;

    if (out == NULL)
        return;
    fprintf(out, "servers  %" PRIu64, field_number(page->model->status, "total"));
    json_object_foreach (states, name, number) {
        if (json_integer_value(number) == 0)
            continue;
        fprintf(out, "%s%" JSON_INTEGER_FORMAT " ", between, json_integer_value(number));
        format_text(out, name);
        between = ", ";
    }
    end_line(page, TOP_PLAIN);
}

static void put_rates(struct page *page)
{
    const struct top_rates *all = &page->model->all;
    FILE *out = begin_line(page);

    if (out == NULL)
        return;
    fprintf(out, "rates    %.1f notifications/s, %.1f events/s, %.1f connects/s", all->notifications, all->published,
            all->connects);
    if (field_number(page->model->status, "unpublished") > 0)
        fprintf(out, "; %" PRIu64 " events owed", field_number(page->model->status, "unpublished"));
    end_line(page, TOP_PLAIN);
}

/* --- workers --- */

static void put_worker(struct page *page, const json_t *worker)
{
    uint64_t slot = field_number(worker, "worker"), starts = field_number(worker, "starts");
    const struct top_rates *rates = &page->model->rates[slot < TOP_SLOTS ? slot : TOP_SLOTS - 1];
    bool is_out = json_is_true(json_object_get(worker, "outOfService"));
    bool is_alive = !is_out && field_number(worker, "pid") > 0;
    FILE *out = begin_line(page);

    if (out == NULL)
        return;
    fprintf(out, "%-6" PRIu64 " %8" PRIu64 " %11" PRIu64 " %9.1f %10.1f %7.1fms %8" PRIu64 "%s", slot,
            field_number(worker, "pid"), field_number(worker, "connections"), rates->notifications, rates->connects,
            (double)field_number(worker, "loopLagUs") / 1000.0, starts > 0 ? starts - 1 : 0,
            is_out     ? "  out of service"
            : is_alive ? ""
                       : "  not running");
    end_line(page, is_alive ? TOP_PLAIN : TOP_BAD);
}

static void put_workers(struct page *page)
{
    unsigned lines = top_model_worker_lines(page->model);
    size_t count = json_array_size(page->model->workers);
    FILE *out;

    if (lines == 0 || (out = begin_line(page)) == NULL)
        return;
    fprintf(out, "%-6s %8s %11s %9s %10s %9s %8s", "WORKER", "PID", "CONNECTIONS", "NOTIF/S", "CONNECTS/S", "LAG",
            "RESTARTS");
    if (count > lines)
        fprintf(out, "  (%u of %zu)", lines, count);
    end_line(page, TOP_HEAD);
    for (unsigned i = 0; i < lines; i++)
        put_worker(page, json_array_get(page->model->workers, i));
    put_text(page, TOP_PLAIN, "");
}

/* --- servers --- */

static enum top_look look_of(const json_t *server)
{
    enum state state;

    if (!state_from_name(field_text(server, "state"), &state))
        return TOP_PLAIN;
    if (state == STATE_FAILED || state == STATE_UNAUTHORIZED || state == STATE_REFUSED)
        return TOP_BAD;
    if (state == STATE_BACKOFF || state == STATE_UNSUPPORTED)
        return TOP_WARN;
    return state == STATE_DISABLED ? TOP_FAINT : TOP_PLAIN;
}

static void put_servers(struct page *page)
{
    const struct top_model *model = page->model;
    unsigned lines = top_model_server_lines(model);
    FILE *out = begin_line(page);

    if (out == NULL)
        return;
    view_states_head(out, model->width);
    end_line(page, TOP_HEAD);
    for (size_t i = model->first; i < model->first + lines; i++) {
        const json_t *server = json_array_get(model->servers, i);
        out = server != NULL ? begin_line(page) : NULL;
        if (out == NULL) {
            put_text(page, TOP_PLAIN, "");
            continue;
        }
        view_state(out, server, page->now_ms, model->width);
        end_line(page, i == model->selected ? TOP_SELECTED : look_of(server));
    }
}

/* --- one server --- */

static void put_server_lines(struct page *page, char *text)
{
    struct top_model *model = page->model;
    size_t lines = 0, room = model->height - 2, number = 0;
    char *rest = NULL;

    for (const char *at = text; *at != '\0'; at++)
        lines += *at == '\n' ? 1 : 0;
    size_t last = lines > room ? lines - room : 0;
    if (model->scroll > last)
        model->scroll = last;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        if (number++ >= model->scroll && page->line + 1 < model->height)
            put_text(page, TOP_PLAIN, line);
}

static void put_server(struct page *page)
{
    char *text = NULL;
    size_t size;
    FILE *out = begin_line(page);

    if (out == NULL || page->model->height < 3)
        return;
    format_text(out, page->model->id);
    end_line(page, TOP_HEAD);
    out = open_memstream(&text, &size);
    if (page->model->server != NULL && out != NULL)
        view_server(out, page->model->server, page->now_ms);
    if (out != NULL && fclose(out) == 0)
        put_server_lines(page, text);
    else
        page->result = -ENOMEM;
    free(text);
}

/* --- help, and the last line --- */

static void put_help(struct page *page)
{
    static const char *const lines[] = {
        "up, down, k, j      select a server",
        "page up, page down  a screen further; home, end: the first, the last",
        "enter               open it: all that is known of it, and its last changes of state",
        "r                   reconnect it (asks first)",
        "s, S                sort by the next, the previous key",
        "t                   only servers in the next state",
        "/                   only servers with a text in id, name or workspace",
        "esc                 back; in the list: no filter",
        "q                   back; in the list: quit",
    };

    put_text(page, TOP_HEAD, "Keys");
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++)
        put_text(page, TOP_PLAIN, lines[i]);
}

static void write_wanted(FILE *out, const struct top_model *model)
{
    size_t count = json_array_size(model->servers);

    fprintf(out, "%zu/%" PRIu64 " by %s", count > 0 ? model->selected + 1 : 0, model->matching,
            row_order_name(model->order));
    if (model->state >= 0)
        fprintf(out, ", %s", state_name((unsigned)model->state));
    if (model->text[0] != '\0') {
        fputs(", /", out);
        format_text(out, model->text);
    }
    fputs("  s sort t state / text enter open r reconnect h help q quit", out);
}

static void put_footer(struct page *page)
{
    const struct top_model *model = page->model;

    while (page->line + 1 < model->height)
        put_text(page, TOP_PLAIN, "");
    FILE *out = begin_line(page);
    if (out == NULL)
        return;
    if (model->mode == TOP_TYPING) {
        fputs("only servers with: ", out);
        format_text(out, model->typed);
        fputs("_", out);
    } else if (model->mode == TOP_CONFIRM) {
        fputs("reconnect ", out);
        format_text(out, model->id);
        fputs("? y/n", out);
    } else if (model->message[0] != '\0') {
        format_text(out, model->message);
    } else if (model->mode == TOP_SERVER) {
        fputs("up, down scroll  r reconnect  q back", out);
    } else if (model->mode == TOP_HELP) {
        fputs("any key: back", out);
    } else {
        write_wanted(out, model);
    }
    end_line(page, TOP_STRONG);
}

int top_page_draw(struct top_model *model, uint64_t now_ms,
                  void (*put)(void *user, unsigned line, enum top_look look, const char *text), void *user)
{
    struct page page = {.model = model, .now_ms = now_ms, .put = put, .user = user};

    if (model->mode == TOP_HELP) {
        put_help(&page);
    } else if (top_model_is_open(model)) {
        put_server(&page);
    } else {
        put_broker(&page);
        put_states(&page);
        put_rates(&page);
        put_text(&page, TOP_PLAIN, "");
        put_workers(&page);
        put_servers(&page);
    }
    put_footer(&page);
    return page.result;
}
