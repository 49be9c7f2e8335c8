/* SPDX-License-Identifier: MIT */
/* The configuration as told to people: what differs from the defaults, in their spelling, and no password. */
#include "common/config_view.h"

#include "common/setting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void set(struct config *config, const char *flag, const char *value)
{
    char error[SETTING_ERROR_SIZE];
    const struct setting *setting = setting_find(flag, strlen(flag));
    assert_non_null(setting);
    assert_int_equal(setting_store(setting, config, value, error), 0);
}

static void defaults_are_not_told(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    json_t *view = config_view(&config);
    assert_non_null(view);
    assert_int_equal(json_object_size(view), 0);
    json_decref(view);
    config_fini(&config);
}

static void settings_are_told_as_they_are_written(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    set(&config, "workers", "4");
    set(&config, "connect-timeout", "20s");
    set(&config, "enrich", "true");
    set(&config, "log-level", "warn");
    set(&config, "allow-net", "10.0.0.0/8");
    set(&config, "allow-net", "fd00::/8");
    set(&config, "servers", "/etc/servers.json");
    json_t *view = config_view(&config);
    json_t *wanted = json_pack("{s:i, s:s, s:b, s:s, s:s, s:s}", "workers", 4, "connect-timeout", "20s", "enrich", 1,
                               "log-level", "warn", "allow-net", "10.0.0.0/8,fd00::/8", "servers", "/etc/servers.json");
    assert_true(json_equal(view, wanted));
    json_decref(view);
    json_decref(wanted);
    config_fini(&config);
}

static void no_password_is_told(void **state)
{
    (void)state;
    static const char *const urls[][2] = {
        {"redis://:planted@host", "redis://host:6379/0"},
        {"redis://user:planted@[::1]:6380/2", "redis://[::1]:6380/2"},
        {"unix://user:planted@/run/redis.sock?db=1", "unix:///run/redis.sock?db=1"},
        {"redis+sentinel://user:planted@a:1,b:2/main/3", "redis+sentinel://a:1,b:2/main/3"},
        {"http://user:planted@host", "(not a Redis URL)"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(urls); i++) {
        struct config config;
        config_init(&config);
        set(&config, "redis", urls[i][0]);
        json_t *view = config_view(&config);
        assert_string_equal(json_string_value(json_object_get(view, "redis")), urls[i][1]);
        json_decref(view);
        config_fini(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_not_told),
        cmocka_unit_test(settings_are_told_as_they_are_written),
        cmocka_unit_test(no_password_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
