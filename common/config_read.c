/* SPDX-License-Identifier: MIT */
/* From a command line to a whole, checked configuration: flags first, then the file of --config for what no flag said,
 * then the environment and the machine for what neither said, then the checks that need more than one value. The
 * supervisor calls it at its start and again for each reload, always with the same arguments.
 *
 * It never stops at the first mistake: each becomes one line of problems, with the flag (or the file and its key) in
 * front and the remedy in it. A line never repeats a Redis URL, which may hold a password. */
#include "common/config.h"

#include "common/json_locate.h"
#include "common/listen_address.h"
#include "common/netmask.h"
#include "common/paths.h"
#include "common/redis_url.h"
#include "common/setting.h"
#include "common/token_file.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

struct reading {
    struct config *config;
    struct problems *problems;
    const char *config_path;   /* of --config, borrowed; NULL */
    bool given[SETTING_COUNT]; /* by a flag: the file does not count */
    char *text;                /* of the file, NUL-terminated; while it is read */
    size_t size;
    enum config_action action;
    int argc, at;
    char *const *argv;
};

static size_t index_of(const struct setting *setting)
{
    return (size_t)(setting - setting_table);
}

/* --- flags --- */

/* The flag's value: what stands behind its `=`, else the next argument. NULL, and a problem, when there is none. */
static const char *take_value(struct reading *reading, const char *flag, const char *attached)
{
    if (attached != NULL)
        return attached;
    const char *next = reading->at < reading->argc ? reading->argv[reading->at] : NULL;
    if (next == NULL || strncmp(next, "--", 2) == 0) {
        problems_add(reading->problems, "%s: its value is missing, see --help", flag);
        return NULL;
    }
    reading->at++;
    return next;
}

static void read_flag_value(struct reading *reading, const struct setting *setting, const char *flag,
                            const char *attached)
{
    const char *value = attached;
    if (setting->type == SETTING_TYPE_SWITCH)
        value = attached != NULL ? attached : "true";
    else
        value = take_value(reading, flag, attached);
    char error[SETTING_ERROR_SIZE];
    if (value != NULL && setting_store(setting, reading->config, value, error) != 0)
        problems_add(reading->problems, "%s: %s", flag, error);
    reading->given[index_of(setting)] = true;
}

/* --check, --version, --help, --config: what is no setting. False when the flag is none of these. */
static bool read_special(struct reading *reading, const char *name, size_t length, const char *attached)
{
    static const struct {
        const char *name;
        enum config_action action;
    } actions[] = {{"check", CONFIG_CHECK}, {"help", CONFIG_HELP}, {"version", CONFIG_SHOW_VERSION}};
    if (length == strlen("config") && memcmp(name, "config", length) == 0) {
        reading->config_path = take_value(reading, "--config", attached);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(actions); i++) {
        if (length != strlen(actions[i].name) || memcmp(name, actions[i].name, length) != 0)
            continue;
        if (attached != NULL)
            problems_add(reading->problems, "--%s: takes no value", actions[i].name);
        if (actions[i].action > reading->action)
            reading->action = actions[i].action;
        return true;
    }
    return false;
}

static void read_long_flag(struct reading *reading, const char *argument)
{
    const char *name = argument + 2;
    size_t length = strcspn(name, "=");
    const char *attached = name[length] == '=' ? name + length + 1 : NULL;
    if (read_special(reading, name, length, attached))
        return;
    const struct setting *setting = setting_find(name, length);
    if (setting == NULL) {
        problems_add(reading->problems, "--%.*s: unknown flag, see --help", (int)(length < 60 ? length : 60), name);
        return;
    }
    char flag[64];
    snprintf(flag, sizeof(flag), "--%s", setting->flag);
    read_flag_value(reading, setting, flag, attached);
}

static void read_flags(struct reading *reading)
{
    while (reading->at < reading->argc) {
        const char *argument = reading->argv[reading->at++];
        const struct setting *setting;
        if (strncmp(argument, "--", 2) == 0 && argument[2] != '\0') {
            read_long_flag(reading, argument);
        } else if (argument[0] == '-' && (setting = setting_find_letter(argument[1])) != NULL) {
            char flag[64];
            snprintf(flag, sizeof(flag), "--%s", setting->flag);
            read_flag_value(reading, setting, flag, argument[2] != '\0' ? argument + 2 : NULL);
        } else if (argument[0] == '-') {
            problems_add(reading->problems, "%.60s: unknown flag, see --help", argument);
        } else {
            problems_add(reading->problems, "\"%.60s\": unexpected argument, see --help", argument);
        }
    }
}

/* --- the configuration file --- */

static const char *const wrong_type_texts[] = {
    [SETTING_TYPE_INT] = "must be a whole number, without quotes",
    [SETTING_TYPE_DURATION] = "must be a text such as \"15s\"",
    [SETTING_TYPE_TEXT] = "must be a text",
    [SETTING_TYPE_LIST] = "must be a text or an array of texts",
    [SETTING_TYPE_SWITCH] = "must be true or false, without quotes",
    [SETTING_TYPE_CHOICE] = "must be a text",
};

/* The value as a flag would have it, in `number` when it is one; NULL when its JSON type is not the setting's. */
static const char *file_value_text(const struct setting *setting, const json_t *value, char number[32])
{
    if (setting->type == SETTING_TYPE_SWITCH)
        return json_is_boolean(value) ? json_is_true(value) ? "true" : "false" : NULL;
    bool number_allowed = setting->type == SETTING_TYPE_INT || setting->type == SETTING_TYPE_DURATION;
    if (number_allowed && json_is_integer(value)) {
        snprintf(number, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return number;
    }
    return setting->type != SETTING_TYPE_INT ? json_string_value(value) : NULL;
}

/* A problem with a key of the file, at its line. */
static void add_file_problem(struct reading *reading, const char *key, const char *message)
{
    unsigned line = json_locate(reading->text, reading->size, &key, 1);
    problems_add(reading->problems, "%s:%u: \"%.60s\": %s", reading->config_path, line, key, message);
}

static void read_file_value(struct reading *reading, const struct setting *setting, struct config *config,
                            const json_t *value)
{
    char number[32], error[SETTING_ERROR_SIZE];
    const char *text = file_value_text(setting, value, number);
    if (text == NULL)
        add_file_problem(reading, setting->flag, wrong_type_texts[setting->type]);
    else if (setting_store(setting, config, text, error) != 0)
        add_file_problem(reading, setting->flag, error);
}

static void read_file_key(struct reading *reading, const char *key, const json_t *value)
{
    const struct setting *setting = setting_find(key, strlen(key));
    if (setting == NULL) {
        add_file_problem(reading, key, "no such setting, see --help");
        return;
    }
    /* What a flag overrides is checked all the same: the next start may be without that flag. */
    struct config unused;
    config_init(&unused);
    struct config *config = reading->given[index_of(setting)] ? &unused : reading->config;
    if (setting->type == SETTING_TYPE_LIST && json_is_array(value)) {
        size_t index;
        const json_t *item;
        json_array_foreach (value, index, item)
            read_file_value(reading, setting, config, item);
    } else {
        read_file_value(reading, setting, config, value);
    }
    config_fini(&unused);
}

/* The file may be the servers file, too: those are read by others, and need not be named twice. */
static void read_file_object(struct reading *reading, json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach (root, key, value) {
        if (strcmp(key, "mcpServers") != 0)
            read_file_key(reading, key, value);
        else if (reading->config->servers == NULL)
            reading->config->servers = strdup(reading->config_path);
    }
}

static void parse_file(struct reading *reading)
{
    json_error_t error;
    json_t *root = json_loadb(reading->text, reading->size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        /* jansson quotes the place behind " near ", and a password may stand there. */
        const char *near = strstr(error.text, " near ");
        problems_add(reading->problems, "%s:%d: not JSON: %.*s", reading->config_path, error.line,
                     (int)(near != NULL ? near - error.text : (ptrdiff_t)strlen(error.text)), error.text);
    } else if (!json_is_object(root)) {
        problems_add(reading->problems, "%s: must be a JSON object of flags' names", reading->config_path);
    } else {
        read_file_object(reading, root);
    }
    json_decref(root);
}

static void read_file(struct reading *reading)
{
    size_t capacity = 0;
    FILE *file = fopen(reading->config_path, "re");
    if (file == NULL) {
        problems_add(reading->problems, "--config: %s: %s", reading->config_path, strerror(errno));
        return;
    }
    /* JSON has no NUL, so this is the whole file. */
    ssize_t size = getdelim(&reading->text, &capacity, '\0', file);
    reading->size = size > 0 ? (size_t)size : 0;
    if (ferror(file) != 0)
        problems_add(reading->problems, "--config: %s: %s", reading->config_path, strerror(errno));
    else
        parse_file(reading);
    free(reading->text);
    fclose(file);
}

/* --- what neither said --- */

static uint64_t count_cpus(void)
{
    cpu_set_t set;
    long count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t max = setting_table[SETTING_INDEX_workers].max;
    return count < 1 ? 1 : (uint64_t)count > max ? max : (uint64_t)count;
}

static void set_default_dir(struct reading *reading, char **dir, const char *flag, const char *variables,
                            int (*get_default)(char *, size_t, bool))
{
    char path[PATH_MAX];
    if (*dir != NULL)
        return;
    /* A broker of root's stays one when it has become another user, and reads its configuration again. */
    if (get_default(path, sizeof(path), geteuid() == 0 || reading->config->user != NULL) == 0)
        *dir = strdup(path);
    if (*dir == NULL)
        problems_add(reading->problems, "%s: has no default here, name a directory or set one of %s", flag, variables);
}

static void fill_in(struct reading *reading)
{
    struct config *config = reading->config;
    const char *redis = getenv("REDIS_URL");
    if (config->workers == 0)
        config->workers = count_cpus();
    if (config->redis == NULL && redis != NULL)
        config->redis = strdup(redis);
    set_default_dir(reading, &config->run_dir, "--run-dir", "$RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR",
                    paths_default_run_dir);
    set_default_dir(reading, &config->state_dir, "--state-dir", "$STATE_DIRECTORY, $XDG_STATE_HOME, $HOME",
                    paths_default_state_dir);
    if (config->channel_prefix == NULL)
        problems_add(reading->problems, "out of memory");
}

/* --- checks of the whole --- */

static void check_not_empty(struct reading *reading, const char *flag, const char *value)
{
    if (value != NULL && value[0] == '\0')
        problems_add(reading->problems, "%s: must not be empty", flag);
}

static void check_run_dir(struct reading *reading)
{
    static const char *const sockets[] = {PATHS_EVENTS, PATHS_DIAG, PATHS_BELLS, PATHS_ASSIGNMENTS, PATHS_TOKENS};
    size_t longest = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(sockets); i++)
        longest = strlen(sockets[i]) > longest ? strlen(sockets[i]) : longest;
    size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path) - strlen("/") - longest - 1;
    const char *dir = reading->config->run_dir;
    if (dir != NULL && strlen(dir) > room)
        problems_add(reading->problems,
                     "--run-dir: has %zu bytes, a socket's path leaves room for %zu; name a shorter one", strlen(dir),
                     room);
}

/* An empty URL is none: it turns off what the environment says. */
static void check_redis(struct reading *reading)
{
    const char *text = reading->config->redis;
    struct redis_url url;
    char why[REDIS_URL_WHY_SIZE];
    if (text == NULL)
        return;
    if (text[0] == '\0') {
        setting_free(&setting_table[SETTING_INDEX_redis], reading->config);
        return;
    }
    int result = redis_url_parse(text, &url, why);
    if (result == 0)
        redis_url_fini(&url);
    else
        problems_add(reading->problems, "--redis or $REDIS_URL: %s", result > 0 ? why : "out of memory");
}

static void check_stream(struct reading *reading)
{
    const struct config *config = reading->config;
    check_not_empty(reading, "--stream", config->stream);
    if (config->stream != NULL && config->redis == NULL)
        problems_add(reading->problems, "--stream: needs a Redis to be in; name it with --redis");
}

/* An empty address is none, as with Redis. */
static void check_http(struct reading *reading)
{
    const struct config *config = reading->config;
    struct listen_address address;
    struct token token;
    char why[LISTEN_ADDRESS_WHY_SIZE], token_why[TOKEN_FILE_WHY_SIZE];
    if (config->http != NULL && config->http[0] == '\0')
        setting_free(&setting_table[SETTING_INDEX_http], reading->config);
    if (config->http != NULL && listen_address_parse(config->http, &address, why) != 0)
        problems_add(reading->problems, "--http: %s", why);
    else if (config->http != NULL && !address.loopback && config->http_token_file == NULL)
        problems_add(reading->problems,
                     "--http: other machines can reach %s; name a --http-token-file, or listen on "
                     "127.0.0.1",
                     config->http);
    if (config->http_token_file != NULL && token_file_read(config->http_token_file, &token, token_why) != 0)
        problems_add(reading->problems, "--http-token-file: %s", token_why);
    explicit_bzero(&token, sizeof(token));
}

static void check_networks(struct reading *reading, const char *flag, const char *networks)
{
    struct netmask_list *list = NULL;
    char error[NETMASK_ERROR_SIZE] = "out of memory";
    if (netmask_list_parse(networks, &list, error, sizeof(error)) != 0)
        problems_add(reading->problems, "%s: %s", flag, error);
    netmask_list_destroy(list);
}

static void check(struct reading *reading)
{
    const struct config *config = reading->config;
    check_not_empty(reading, "--servers", config->servers);
    check_not_empty(reading, "--run-dir", config->run_dir);
    check_not_empty(reading, "--state-dir", config->state_dir);
    check_run_dir(reading);
    check_redis(reading);
    check_stream(reading);
    check_http(reading);
    check_networks(reading, "--allow-net", config->allow_net);
    check_networks(reading, "--deny-net", config->deny_net);
    if (config->backoff_base > config->backoff_max)
        problems_add(reading->problems, "--backoff-base: is longer than --backoff-max; lower it or raise that");
}

const char *config_file(int argc, char *const argv[])
{
    struct config unused;
    struct problems ignored;
    struct reading reading = {.config = &unused, .problems = &ignored, .argc = argc, .at = 1, .argv = argv};
    config_init(&unused);
    problems_init(&ignored);
    read_flags(&reading);
    problems_fini(&ignored);
    config_fini(&unused);
    return reading.config_path;
}

enum config_action config_read(struct config *config, int argc, char *const argv[], struct problems *problems)
{
    struct reading reading = {
        .config = config, .problems = problems, .action = CONFIG_RUN, .argc = argc, .at = 1, .argv = argv};
    read_flags(&reading);
    if (reading.action == CONFIG_HELP || reading.action == CONFIG_SHOW_VERSION)
        return reading.action;
    if (reading.config_path != NULL)
        read_file(&reading);
    fill_in(&reading);
    check(&reading);
    return reading.action;
}
