/* SPDX-License-Identifier: MIT */
/* What `status` tells of the configuration: each setting that differs from its default, as a user writes it in the
 * configuration file. Settings that the machine decides (workers, directories) differ, too, and are told.
 *
 * The one setting with a secret in it is the Redis URL. It is not searched for a password: it is taken apart, and what is
 * told is put together anew from the parts that are none. */
#include "common/config_view.h"

#include "common/buf.h"
#include "common/duration.h"
#include "common/redis_url.h"
#include "common/setting.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 8192 };

/* "host:port", or "[address]:port". */
static int put_address(struct buf *out, const struct redis_address *address)
{
    bool bracketed = strchr(address->host, ':') != NULL;
    return buf_printf(out, "%s%s%s:%" PRIu16, bracketed ? "[" : "", address->host, bracketed ? "]" : "", address->port);
}

static int put_place(struct buf *out, const struct redis_url *url)
{
    if (url->path != NULL)
        return buf_printf(out, "unix://%s%s%u", url->path, "?db=", url->database);
    int result = buf_append_text(out, url->sentinel_count > 0 ? "redis+sentinel://"
                                      : url->tls              ? "rediss://"
                                                              : "redis://");
    if (url->sentinel_count == 0 && result == 0)
        result = put_address(out, &url->server);
    for (size_t i = 0; i < url->sentinel_count && result == 0; i++) {
        result = i > 0 ? buf_append_text(out, ",") : 0;
        if (result == 0)
            result = put_address(out, &url->sentinels[i]);
    }
    if (url->master != NULL && result == 0)
        result = buf_printf(out, "/%s", url->master);
    return result == 0 ? buf_printf(out, "/%u", url->database) : result;
}

static json_t *redis_view(const char *text)
{
    struct redis_url url;
    struct buf out;
    char why[REDIS_URL_WHY_SIZE];
    if (redis_url_parse(text, &url, why) != 0)
        return json_string("(not a Redis URL)");
    buf_init(&out, TEXT_MAX);
    json_t *view = put_place(&out, &url) == 0 ? json_string(buf_text(&out)) : NULL;
    buf_fini(&out);
    redis_url_fini(&url);
    return view;
}

/* The word at `index` of "a|b|c". */
static json_t *word_view(const char *words, unsigned long index)
{
    for (; index > 0; index--)
        words += strcspn(words, "|") + 1;
    return json_stringn(words, strcspn(words, "|"));
}

/* From what setting_encode writes: the value without a flag, and without a line break. */
static json_t *value_view(const struct setting *setting, const char *text)
{
    char words[DURATION_TEXT_SIZE];
    switch (setting->type) {
    case SETTING_TYPE_INT:
        return json_integer(strtoll(text, NULL, 10));
    case SETTING_TYPE_DURATION:
        return json_string(duration_format(strtoull(text, NULL, 10), words));
    case SETTING_TYPE_SWITCH:
        return json_boolean(text[0] == '1');
    case SETTING_TYPE_CHOICE:
        return word_view(setting->words, strtoul(text, NULL, 10));
    case SETTING_TYPE_TEXT:
        return strcmp(setting->flag, "redis") == 0 ? redis_view(text) : json_string(text);
    case SETTING_TYPE_LIST:
        break;
    }
    return json_string(text);
}

/* Adds the setting unless it has its default. 0, or what buf and jansson say. */
static int add(json_t *view, const struct setting *setting, const struct config *config, const struct config *defaults)
{
    struct buf now, usual;
    buf_init(&now, TEXT_MAX);
    buf_init(&usual, TEXT_MAX);
    int result = setting_encode(setting, config, &now);
    if (result == 0)
        result = setting_encode(setting, defaults, &usual);
    if (result == 0 && now.size > 0 && strcmp(buf_text(&now), buf_text(&usual)) != 0) {
        now.bytes[now.size - 1] = '\0'; /* the line break */
        result =
            json_object_set_new(view, setting->flag, value_view(setting, buf_text(&now) + strlen(setting->flag) + 1));
    }
    buf_fini(&now);
    buf_fini(&usual);
    return result;
}

json_t *config_view(const struct config *config)
{
    struct config defaults;
    json_t *view = json_object();
    int result = view == NULL;
    config_init(&defaults);
    for (size_t i = 0; i < SETTING_COUNT && result == 0; i++)
        result = add(view, &setting_table[i], config, &defaults);
    config_fini(&defaults);
    if (result != 0) {
        json_decref(view);
        return NULL;
    }
    return view;
}
