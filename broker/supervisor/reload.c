/* SPDX-License-Identifier: MIT */
/* What a reload does to the settings: all of the new ones or none. Some hold as long as the broker runs (settings.def says
 * which); a reload that would change one says so and goes on with the rest, because the file may well have other changes
 * that an operator waits for. */
#include "broker/supervisor/reload.h"

#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>

json_t *reload_report(int argc, char *const argv[])
{
    return json_pack("{s:I, s:s?, s:n, s:[]}", "readAt", (json_int_t)clock_wall_ms(), "path", config_file(argc, argv),
                     "error", "waiting");
}

static void on_waiting(void *waiting, const char *flag)
{
    log_warn("config.needs_restart", LOG_TEXT("flag", flag));
    (void)!json_array_append_new(waiting, json_string(flag));
}

static void take_over(struct config *config, struct config *next, json_t *report)
{
    json_t *waiting = json_array();
    config_keep_fixed(config, next, on_waiting, waiting);
    config_fini(config);
    *config = *next;
    (void)!json_object_set_new(report, "readAt", json_integer((json_int_t)clock_wall_ms()));
    (void)!json_object_set_new(report, "error", json_null());
    (void)!json_object_set_new(report, "waiting", waiting);
    log_info("config.reloaded");
}

static void tell_problems(const struct problems *problems, json_t *report)
{
    char error[PROBLEM_TEXT_SIZE + 64];
    size_t all = problems->count + problems->more;
    for (size_t i = 0; i < problems->count; i++)
        log_error("config.rejected", LOG_TEXT("problem", problems->lines[i]));
    const char *first = problems->count > 0 ? problems->lines[0] : "no memory";
    if (all > 1)
        snprintf(error, sizeof(error), "%s (and %zu more)", first, all - 1);
    else
        snprintf(error, sizeof(error), "%s", first);
    (void)!json_object_set_new(report, "error", json_string(error));
}

int reload_config(struct config *config, int argc, char *const argv[], json_t *report)
{
    struct config next;
    struct problems problems;
    config_init(&next);
    problems_init(&problems);
    config_read(&next, argc, argv, &problems);
    int result = problems.count + problems.more > 0 ? 1 : 0;
    if (result == 0) {
        take_over(config, &next, report);
    } else {
        tell_problems(&problems, report);
        config_fini(&next);
    }
    problems_fini(&problems);
    return result;
}
