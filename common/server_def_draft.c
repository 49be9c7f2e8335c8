/* SPDX-License-Identifier: MIT */
/* The keys of a definition. One table says which there are, which kind of server they are for and who reads each; a
 * reader checks the value and puts it into the draft, or tells what is wrong and leaves the draft as it is, so that all
 * problems of a definition are told in one go.
 *
 * Definitions come from files, from the registry of an older build and from whoever may connect to the diagnostics
 * socket: nothing about them is taken on trust, and each text and array has a maximum. No message repeats a value,
 * since values are secrets; keys are none. */
#include "common/server_def_draft.h"

#include "common/duration.h"
#include "common/http_field.h"
#include "common/server_def_auth.h"
#include "common/server_url.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { KEY_PATH_SIZE = 192, MESSAGE_SIZE = 320 };
enum { ID_MAX = 127, NAME_MAX_BYTES = 127, SCOPE_MAX = 63 };
enum { WEB = 1 << TRANSPORT_HTTP | 1 << TRANSPORT_SSE, STDIO = 1 << TRANSPORT_STDIO, ANY = WEB | STDIO };

struct reading {
    struct server_def_draft *draft;
    server_def_on_problem on_problem;
    void *user;
    bool failed;
};

struct key {
    const char *name;
    int transports; /* bit a transport: servers that the key means something for */
    void (*read)(struct reading *reading, const struct key *key, json_t *value);
    size_t slot; /* of a text: where in the draft */
    size_t max;  /* of a text: bytes */
};

static void problem(struct reading *reading, const char *key, const char *part, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* `part` names an entry of the key's value, or is NULL. */
static void problem(struct reading *reading, const char *key, const char *part, const char *format, ...)
{
    char path[KEY_PATH_SIZE];
    char message[MESSAGE_SIZE];
    va_list arguments;

    snprintf(path, sizeof path, "%s%s%s", key, part != NULL ? "." : "", part != NULL ? part : "");
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    reading->failed = true;
    reading->on_problem(reading->user, reading->draft->def.id, path, message);
}

/* C0, DEL, and C1 as UTF-8 has it: what would change a terminal or a line when it is shown. */
static bool has_control(const char *text)
{
    for (const unsigned char *byte = (const unsigned char *)text; *byte != '\0'; byte++)
        if (*byte < ' ' || *byte == 0x7f || (*byte == 0xc2 && byte[1] >= 0x80 && byte[1] < 0xa0))
            return true;
    return false;
}

/* The text, borrowed, or NULL when that was told. */
static const char *text_of(struct reading *reading, const char *key, const char *part, const json_t *value, size_t max)
{
    if (!json_is_string(value)) {
        problem(reading, key, part, "must be a text");
        return NULL;
    }

    const char *text = json_string_value(value);
    if (json_string_length(value) > max) {
        problem(reading, key, part, "is longer than %zu bytes", max);
        return NULL;
    }
    if (strlen(text) != json_string_length(value)) {
        problem(reading, key, part, "has a NUL character");
        return NULL;
    }
    return text;
}

static void keep(struct reading *reading, const struct key *key, const char *text)
{
    memcpy((char *)reading->draft + key->slot, &text, sizeof text);
}

/* --- readers, one for each form of value --- */

static void read_text(struct reading *reading, const struct key *key, json_t *value)
{
    const char *text = text_of(reading, key->name, NULL, value, key->max);

    if (text != NULL)
        keep(reading, key, text);
}

/* A text that must say something: a path, a program. */
static void read_filled(struct reading *reading, const struct key *key, json_t *value)
{
    const char *text = text_of(reading, key->name, NULL, value, key->max);

    if (text != NULL && text[0] == '\0')
        problem(reading, key->name, NULL, "is empty");
    else if (text != NULL)
        keep(reading, key, text);
}

/* A text that is shown to people. */
static void read_label(struct reading *reading, const struct key *key, json_t *value)
{
    const char *text = text_of(reading, key->name, NULL, value, key->max);

    if (text != NULL && has_control(text))
        problem(reading, key->name, NULL, "has a control character");
    else if (text != NULL)
        keep(reading, key, text);
}

static void read_url(struct reading *reading, const struct key *key, json_t *value)
{
    const char *text = text_of(reading, key->name, NULL, value, key->max);
    const char *error = text != NULL ? server_url_error(text) : NULL;

    if (error != NULL)
        problem(reading, key->name, NULL, "%s", error);
    else if (text != NULL)
        keep(reading, key, text);
}

/* Both may be given, as existing files do; one that switches it off wins. */
static void read_enabled(struct reading *reading, const struct key *key, json_t *value)
{
    bool inverted = strcmp(key->name, "disabled") == 0;

    if (!json_is_boolean(value))
        problem(reading, key->name, NULL, "must be true or false");
    else if (json_is_true(value) == inverted)
        reading->draft->def.enabled = false;
}

static void read_timeout(struct reading *reading, const struct key *key, json_t *value)
{
    json_int_t ms = json_integer_value(value);

    if (!json_is_integer(value) || ms < SERVER_DEF_TIMEOUT_MIN_MS || ms > SERVER_DEF_TIMEOUT_MAX_MS)
        problem(reading, key->name, NULL, "must be a whole number of milliseconds from %d to %d",
                SERVER_DEF_TIMEOUT_MIN_MS, SERVER_DEF_TIMEOUT_MAX_MS);
    else
        reading->draft->def.timeout_ms = (uint32_t)ms;
}

static void read_poll(struct reading *reading, const struct key *key, json_t *value)
{
    uint64_t ms;

    if (!json_is_string(value) || duration_parse(json_string_value(value), &ms) != 0 || ms < SERVER_DEF_POLL_MIN_MS ||
        ms > SERVER_DEF_POLL_MAX_MS)
        problem(reading, key->name, NULL, "must be a duration from \"1s\" to \"7d\"");
    else
        reading->draft->def.poll_ms = (uint32_t)ms;
}

static void read_events(struct reading *reading, const struct key *key, json_t *value)
{
    unsigned events = 0;
    size_t i;
    json_t *item;

    json_array_foreach (value, i, item) {
        enum kind kind;
        if (!json_is_string(item) || !kind_from_name(json_string_value(item), &kind)) {
            events = 0;
            break;
        }
        events |= 1U << kind;
    }
    if (events == 0)
        problem(reading, key->name, NULL, "must be a list of \"tools\", \"prompts\", \"resources\"");
    else
        reading->draft->def.events = (uint8_t)events;
}

/* An object or array of at most `max` entries; tells when it is none. */
static bool is_bounded(struct reading *reading, const struct key *key, const json_t *value, json_type type, size_t max)
{
    bool is_object = type == JSON_OBJECT;
    size_t size = is_object ? json_object_size(value) : json_array_size(value);

    if (json_typeof(value) != type)
        problem(reading, key->name, NULL, "must be %s", is_object ? "an object of texts" : "a list of texts");
    else if (size > max)
        problem(reading, key->name, NULL, "has more than %zu entries", max);
    return json_typeof(value) == type && size <= max;
}

static bool header_is_new(const struct server_def_draft *draft, const char *name)
{
    for (size_t i = 0; i < draft->extras.header_count; i++)
        if (strcasecmp(draft->headers[i].name, name) == 0)
            return false;
    return true;
}

static void read_headers(struct reading *reading, const struct key *key, json_t *value)
{
    struct server_def_draft *draft = reading->draft;
    const char *name;
    json_t *item;

    if (!is_bounded(reading, key, value, JSON_OBJECT, SERVER_DEF_HEADERS_MAX))
        return;
    json_object_foreach (value, name, item) {
        const char *text = text_of(reading, key->name, name, item, SERVER_DEF_TEXT_MAX);
        if (text == NULL)
            continue;
        const char *error = http_field_name_error(name);
        if (error == NULL && !header_is_new(draft, name))
            error = "is given twice (case makes no difference)";
        if (error == NULL)
            error = http_field_value_error(text);
        if (error != NULL)
            problem(reading, key->name, name, "%s", error);
        else
            draft->headers[draft->extras.header_count++] = (struct server_pair){name, text};
    }
}

static void read_env(struct reading *reading, const struct key *key, json_t *value)
{
    struct server_def_draft *draft = reading->draft;
    const char *name;
    json_t *item;

    if (!is_bounded(reading, key, value, JSON_OBJECT, SERVER_DEF_ENV_MAX))
        return;
    json_object_foreach (value, name, item) {
        const char *text = text_of(reading, key->name, name, item, SERVER_DEF_TEXT_MAX);
        if (text == NULL)
            continue;
        if (name[0] == '\0' || strchr(name, '=') != NULL || has_control(name))
            problem(reading, key->name, name, "is no name of a variable");
        else
            draft->env[draft->extras.env_count++] = (struct server_pair){name, text};
    }
}

static void read_args(struct reading *reading, const struct key *key, json_t *value)
{
    struct server_def_draft *draft = reading->draft;
    size_t i;
    json_t *item;

    if (!is_bounded(reading, key, value, JSON_ARRAY, SERVER_DEF_ARGS_MAX))
        return;
    json_array_foreach (value, i, item) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        const char *text = text_of(reading, key->name, number, item, SERVER_DEF_TEXT_MAX);
        if (text != NULL)
            draft->args[draft->extras.arg_count++] = text;
    }
}

static void on_auth_problem(void *user, const char *key, const char *message)
{
    problem(user, "auth", key, "%s", message);
}

static void read_auth(struct reading *reading, const struct key *key, json_t *value)
{
    const char *name;
    json_t *item;

    if (!is_bounded(reading, key, value, JSON_OBJECT, SERVER_DEF_AUTH_MAX))
        return;
    json_object_foreach (value, name, item)
        (void)text_of(reading, key->name, name, item, SERVER_DEF_TEXT_MAX);
    server_def_auth_check(value, reading->draft->def.source, on_auth_problem, reading);
    reading->draft->extras.auth = value;
}

#define SLOT(field) offsetof(struct server_def_draft, field)

static const struct key keys[] = {
    {"type", ANY, NULL, 0, 0}, /* read before all others */
    {"name", ANY, read_label, SLOT(name), NAME_MAX_BYTES},
    {"workspaceId", ANY, read_label, SLOT(workspace_id), SCOPE_MAX},
    {"userId", ANY, read_label, SLOT(user_id), SCOPE_MAX},
    {"enabled", ANY, read_enabled, 0, 0},
    {"disabled", ANY, read_enabled, 0, 0},
    {"timeout", ANY, read_timeout, 0, 0},
    {"poll", ANY, read_poll, 0, 0},
    {"events", ANY, read_events, 0, 0},
    {"url", WEB, read_url, SLOT(def.url), SERVER_URL_SIZE_MAX},
    {"headers", WEB, read_headers, 0, 0},
    {"caFile", WEB, read_filled, SLOT(extras.ca_file), SERVER_DEF_TEXT_MAX},
    {"proxy", WEB, read_text, SLOT(extras.proxy), SERVER_URL_SIZE_MAX},
    {"auth", WEB, read_auth, 0, 0},
    {"command", STDIO, read_filled, SLOT(extras.command), SERVER_DEF_TEXT_MAX},
    {"args", STDIO, read_args, 0, 0},
    {"env", STDIO, read_env, 0, 0},
    {"cwd", STDIO, read_filled, SLOT(extras.cwd), SERVER_DEF_TEXT_MAX},
};

/* --- the whole --- */

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static void tell_unknown_key(struct reading *reading, const char *name)
{
    char known[MESSAGE_SIZE] = "";
    size_t size = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        if (strcasecmp(keys[i].name, name) == 0) {
            problem(reading, name, NULL, "unknown key; \"%s\" is meant", keys[i].name);
            return;
        }
        size += (size_t)snprintf(known + size, sizeof known - size, "%s%s", i > 0 ? ", " : "", keys[i].name);
    }
    problem(reading, name, NULL, "unknown key; known are %s", known);
}

/* The other keys depend on it. False when there is none to go by, which was told. */
static bool read_type_first(struct reading *reading, const json_t *object)
{
    /* "streamable-http" and "streamableHttp": how existing files spell http. */
    static const struct {
        const char *name;
        enum transport transport;
    } types[] = {
        {"http", TRANSPORT_HTTP}, {"streamable-http", TRANSPORT_HTTP}, {"streamableHttp", TRANSPORT_HTTP},
        {"sse", TRANSPORT_SSE},   {"stdio", TRANSPORT_STDIO},
    };
    const json_t *type = json_object_get(object, "type");

    if (type == NULL) {
        bool stdio = json_object_get(object, "url") == NULL && json_object_get(object, "command") != NULL;
        reading->draft->def.transport = stdio ? TRANSPORT_STDIO : TRANSPORT_HTTP;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
        if (json_is_string(type) && strcmp(json_string_value(type), types[i].name) == 0) {
            reading->draft->def.transport = (uint8_t)types[i].transport;
            return true;
        }
    }
    problem(reading, "type", NULL, "must be \"http\", \"sse\" or \"stdio\"");
    return false;
}

static void read_keys(struct reading *reading, json_t *object, bool type_known)
{
    const struct server_def *def = &reading->draft->def;
    const char *name;
    json_t *value;

    json_object_foreach (object, name, value) {
        const struct key *key = find_key(name);
        if (key == NULL)
            tell_unknown_key(reading, name);
        else if (type_known && (key->transports & 1 << def->transport) == 0)
            problem(reading, name, NULL, "means nothing for a server of type %s", transport_name(def->transport));
        else if (key->read != NULL)
            key->read(reading, key, value);
    }
}

static void check_whole(struct reading *reading, const json_t *object, enum source source)
{
    bool stdio = reading->draft->def.transport == TRANSPORT_STDIO;

    if (stdio && source == SOURCE_RUNTIME)
        problem(reading, "type", NULL, "a stdio server can be given in the servers file only");
    else if (stdio && json_object_get(object, "command") == NULL)
        problem(reading, "command", NULL, "is missing");
    else if (!stdio && json_object_get(object, "url") == NULL)
        problem(reading, "url", NULL, "is missing (a stdio server has a command instead)");
    if (reading->draft->extras.auth != NULL && !header_is_new(reading->draft, "Authorization"))
        problem(reading, "auth", NULL, "is given beside a header Authorization: only one of them can be sent");
}

static void check_id(struct reading *reading, const char *id)
{
    if (id[0] == '\0')
        problem(reading, "", NULL, "the id is empty");
    else if (strlen(id) > ID_MAX)
        problem(reading, "", NULL, "the id is longer than %d bytes", ID_MAX);
    else if (has_control(id))
        problem(reading, "", NULL, "the id has a control character");
}

bool server_def_draft_read(struct server_def_draft *draft, const char *id, json_t *object, enum source source,
                           server_def_on_problem on_problem, void *user)
{
    struct reading reading = {.draft = draft, .on_problem = on_problem, .user = user};

    *draft = (struct server_def_draft){
        .def = {.id = id, .source = (uint8_t)source, .enabled = true}, .name = "", .workspace_id = "", .user_id = ""};
    draft->def.extras = &draft->extras;
    draft->extras.headers = draft->headers;
    draft->extras.env = draft->env;
    draft->extras.args = draft->args;

    check_id(&reading, id);
    if (!json_is_object(object)) {
        problem(&reading, "", NULL, "must be an object");
        return false;
    }
    bool type_known = read_type_first(&reading, object);
    read_keys(&reading, object, type_known);
    if (type_known)
        check_whole(&reading, object, source);
    if (draft->def.events == 0)
        draft->def.events = 1U << KIND_TOOLS;
    return !reading.failed;
}
