/* SPDX-License-Identifier: MIT */
/* What a reload does to the settings: all of the new ones or none. Directories and the table's capacity are fixed for the
 * life of a broker, since sockets, lock and table are open under them; a reload that would change one says so and goes
 * on with the rest, because the file may well have other changes that an operator waits for. */
#include "broker/supervisor/reload.h"

#include "common/log.h"

#include <string.h>

static void warn_fixed(const char *flag)
{
    log_warn("config.needs_restart", LOG_TEXT("flag", flag));
}

static void keep_text(char **now, char **new, const char *flag)
{
    if (strcmp(*now, *new) == 0)
        return;
    warn_fixed(flag);
    char *text = *now;
    *now = *new;
    *new = text;
}

static void keep_fixed(struct config *now, struct config *new)
{
    keep_text(&now->run_dir, &new->run_dir, "--run-dir");
    keep_text(&now->state_dir, &new->state_dir, "--state-dir");
    if (now->capacity != new->capacity)
        warn_fixed("--capacity");
    new->capacity = now->capacity;
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
