/* SPDX-License-Identifier: MIT */
/* What a reload does to the settings: all of the new ones or none. Directories, the table's capacity, the servers file's
 * place, the address of --http, the bounds of the sockets and what concerns Redis are fixed for the life of a broker, since
 * sockets, lock, table and connections are open under them; a reload that would change one says so and goes on with the
 * rest, because the file may well have other changes that an operator waits for. */
#include "broker/supervisor/reload.h"

#include "common/log.h"

#include <stdbool.h>
#include <string.h>

static void warn_fixed(const char *flag)
{
    log_warn("config.needs_restart", LOG_TEXT("flag", flag));
}

static bool is_same(const char *now, const char *new)
{
    return now == NULL || new == NULL ? now == new : strcmp(now, new) == 0;
}

static void keep_text(char **now, char **new, const char *flag)
{
    if (is_same(*now, *new))
        return;
    warn_fixed(flag);
    char *text = *now;
    *now = *new;
    *new = text;
}

static void keep_number(uint64_t now, uint64_t *new, const char *flag)
{
    if (now != *new)
        warn_fixed(flag);
    *new = now;
}

static void keep_fixed(struct config *now, struct config *new)
{
    keep_text(&now->run_dir, &new->run_dir, "--run-dir");
    keep_text(&now->state_dir, &new->state_dir, "--state-dir");
    keep_text(&now->servers, &new->servers, "--servers");
    keep_text(&now->redis, &new->redis, "--redis");
    keep_text(&now->channel_prefix, &new->channel_prefix, "--channel-prefix");
    keep_text(&now->stream, &new->stream, "--stream");
    keep_number(now->stream_maxlen, &new->stream_maxlen, "--stream-maxlen");
    keep_text(&now->http, &new->http, "--http");
    keep_text(&now->http_token_file, &new->http_token_file, "--http-token-file");
    keep_number(now->bell_queue, &new->bell_queue, "--bell-queue");
    keep_number(now->capacity, &new->capacity, "--capacity");
    keep_number(now->max_question, &new->max_question, "--max-question");
    keep_number(now->max_clients, &new->max_clients, "--max-clients");
    keep_number(now->subscriber_queue, &new->subscriber_queue, "--subscriber-queue");
}

int reload_config(struct config *config, int argc, char *const argv[])
{
    struct config new;
    struct problems problems;
    config_init(&new);
    problems_init(&problems);
    config_read(&new, argc, argv, &problems);
    int result = problems.count + problems.more > 0 ? 1 : 0;
    if (result == 0) {
        keep_fixed(config, &new);
        config_fini(config);
        *config = new;
        log_info("config.reloaded");
    } else {
        for (size_t i = 0; i < problems.count; i++)
            log_error("config.rejected", LOG_TEXT("problem", problems.lines[i]));
        config_fini(&new);
    }
    problems_fini(&problems);
    return result;
}
