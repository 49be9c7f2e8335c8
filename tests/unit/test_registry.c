/* SPDX-License-Identifier: MIT */
/* What the registry keeps, over restarts, kills, damage and a disk that is full. */
#include "broker/hub/registry.h"

#include "common/compiler.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[64];
    char file[80];
    char error[REGISTRY_ERROR_SIZE];
    struct registry *registry;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/test_registry.XXXXXX");
    if (mkdtemp(fixture->dir) == NULL) {
        free(fixture);
        return -1;
    }
    snprintf(fixture->file, sizeof(fixture->file), "%s/registry.db", fixture->dir);
    *state = fixture;
    return 0;
}

/* Calls `on_file` for each file in the state directory whose name begins with `prefix`; returns how many there are. */
static int each_file(const struct fixture *fixture, const char *prefix, void (*on_file)(const char *path))
{
    int count = 0;
    DIR *directory = opendir(fixture->dir);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[400];
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            snprintf(path, sizeof(path), "%s/%s", fixture->dir, entry->d_name);
            on_file(path);
            count++;
        }
    }
    closedir(directory);
    return count;
}

static void remove_file(const char *path)
{
    unlink(path);
}

static void nothing(const char *path)
{
    (void)path;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    registry_close(fixture->registry);
    each_file(fixture, "", remove_file);
    int result = rmdir(fixture->dir);
    free(fixture);
    return result;
}

/* Opens it, or opens it again. */
static void open_registry(struct fixture *fixture)
{
    registry_close(fixture->registry);
    fixture->registry = NULL;
    if (registry_open(fixture->dir, &fixture->registry, fixture->error) != 0) {
        fail_msg("%s", fixture->error);
    }
}

struct listed {
    int count;
    char text[256];
};

static void list_server(void *user, const char *id, const char *definition)
{
    struct listed *listed = user;
    size_t length = strlen(listed->text);
    snprintf(listed->text + length, sizeof(listed->text) - length, "%s=%s;", id, definition);
    listed->count++;
}

static void check_servers(struct registry *registry, const char *expected)
{
    struct listed listed = {0};
    assert_int_equal(registry_each_server(registry, list_server, &listed), 0);
    assert_string_equal(listed.text, expected);
}

static void store_level(struct registry *registry, const char *id, enum kind kind, const struct registry_level *level)
{
    assert_int_equal(registry_begin(registry), 0);
    assert_int_equal(registry_store_level(registry, id, kind, level), 0);
    assert_int_equal(registry_commit(registry), 0);
}

static void check_tokens(struct registry *registry, const char *expected)
{
    struct listed listed = {0};
    assert_int_equal(registry_each_token(registry, list_server, &listed), 0);
    assert_string_equal(listed.text, expected);
}

static void refresh_tokens_are_kept_until_they_are_removed(void **state)
{
    struct fixture *fixture = *state;
    open_registry(fixture);
    check_tokens(fixture->registry, "");
    assert_int_equal(registry_put_token(fixture->registry, "c1", "r1"), 0);
    assert_int_equal(registry_put_token(fixture->registry, "c2", "r2"), 0);
    assert_int_equal(registry_put_token(fixture->registry, "c1", "r3"), 0);
    open_registry(fixture);
    check_tokens(fixture->registry, "c1=r3;c2=r2;");
    assert_int_equal(registry_remove_token(fixture->registry, "c1"), 0);
    assert_int_equal(registry_remove_token(fixture->registry, "c1"), 0);
    open_registry(fixture);
    check_tokens(fixture->registry, "c2=r2;");
}

static void instance_lives_as_long_as_the_file(void **state)
{
    struct fixture *fixture = *state;
    char instance[64];
    open_registry(fixture);
    snprintf(instance, sizeof(instance), "%s", registry_instance(fixture->registry));
    assert_int_equal(strlen(instance), 32);
    assert_int_equal(strspn(instance, "0123456789abcdef"), 32);
    open_registry(fixture);
    assert_string_equal(registry_instance(fixture->registry), instance);
    registry_close(fixture->registry);
    fixture->registry = NULL;
    unlink(fixture->file);
    open_registry(fixture);
    assert_string_not_equal(registry_instance(fixture->registry), instance);
}

static void check_mode(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    if ((status.st_mode & 07777) != 0600) {
        fail_msg("%s has mode %o", path, status.st_mode & 07777);
    }
}

static void files_are_the_users_alone(void **state)
{
    struct fixture *fixture = *state;
    mode_t before = umask(0);
    open_registry(fixture);
    assert_int_equal(registry_put_server(fixture->registry, "a", "{}"), 0);
    assert_int_equal(each_file(fixture, "", check_mode), 3); /* with -wal and -shm */
    registry_close(fixture->registry);
    fixture->registry = NULL;
    assert_int_equal(chmod(fixture->file, 0644), 0);
    open_registry(fixture);
    assert_int_equal(registry_put_server(fixture->registry, "a", "{}"), 0);
    assert_int_equal(each_file(fixture, "", check_mode), 3);
    umask(before);
}

static void servers_come_back_in_order(void **state)
{
    struct fixture *fixture = *state;
    open_registry(fixture);
    check_servers(fixture->registry, "");
    assert_int_equal(registry_put_server(fixture->registry, "z", "{\"url\":1}"), 0);
    assert_int_equal(registry_put_server(fixture->registry, "a'\"", "{}"), 0);
    assert_int_equal(registry_put_server(fixture->registry, "m", "{}"), 0);
    assert_int_equal(registry_put_server(fixture->registry, "z", "{\"url\":2}"), 0);
    assert_int_equal(registry_remove_server(fixture->registry, "m"), 0);
    assert_int_equal(registry_remove_server(fixture->registry, "never"), 0);
    open_registry(fixture);
    check_servers(fixture->registry, "z={\"url\":2};a'\"={};");
}

/* What was acknowledged survives a hub that is killed at once. */
static void acknowledged_server_survives_a_kill(void **state)
{
    struct fixture *fixture = *state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct registry *registry;
        if (registry_open(fixture->dir, &registry, fixture->error) != 0 ||
            registry_put_server(registry, "a", "{}") != 0 || registry_begin(registry) != 0 ||
            registry_store_level(registry, "a", KIND_TOOLS, &(struct registry_level){.generation = 1}) != 0) {
            _exit(1);
        }
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    open_registry(fixture);
    check_servers(fixture->registry, "a={};");
    struct registry_level level;
    assert_int_equal(registry_load_level(fixture->registry, "a", KIND_TOOLS, &level), REGISTRY_NONE);
}

static void levels_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct registry_level level = {
        .generation = UINT64_MAX,
        .published = UINT64_MAX - 1,
        .seen_ms = 1234,
        .fingerprint = {.high = UINT64_MAX, .low = UINT64_C(1) << 63},
        .count = UINT32_MAX,
        .known = true,
    };
    struct registry_level read;
    open_registry(fixture);
    store_level(fixture->registry, "a", KIND_RESOURCES, &level);
    open_registry(fixture);
    assert_int_equal(registry_load_level(fixture->registry, "a", KIND_RESOURCES, &read), 0);
    assert_true(read.generation == level.generation && read.published == level.published);
    assert_true(read.fingerprint.high == level.fingerprint.high && read.fingerprint.low == level.fingerprint.low);
    assert_true(read.seen_ms == 1234 && read.count == UINT32_MAX && read.known);
    assert_int_equal(registry_load_level(fixture->registry, "a", KIND_TOOLS, &read), REGISTRY_NONE);
    assert_true(read.generation == 0 && !read.known);
    assert_int_equal(registry_load_level(fixture->registry, "A", KIND_RESOURCES, &read), REGISTRY_NONE);

    level.generation = 2;
    level.known = false;
    store_level(fixture->registry, "a", KIND_RESOURCES, &level);
    assert_int_equal(registry_load_level(fixture->registry, "a", KIND_RESOURCES, &read), 0);
    assert_true(read.generation == 2 && !read.known);
}

static void memory_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct registry_memory memory = {.era = ERA_SESSION, .protocol_version = "2025-06-18"}, read;
    open_registry(fixture);
    assert_int_equal(registry_load_memory(fixture->registry, "a", &read), REGISTRY_NONE);
    assert_int_equal(registry_begin(fixture->registry), 0);
    assert_int_equal(registry_store_memory(fixture->registry, "a", &memory), 0);
    memory.era = ERA_COUNT; /* of a version that knows more */
    assert_int_equal(registry_store_memory(fixture->registry, "b", &memory), 0);
    assert_int_equal(registry_commit(fixture->registry), 0);
    assert_int_equal(registry_load_memory(fixture->registry, "a", &read), 0);
    assert_int_equal(read.era, ERA_SESSION);
    assert_string_equal(read.protocol_version, "2025-06-18");
    assert_int_equal(registry_load_memory(fixture->registry, "b", &read), 0);
    assert_int_equal(read.era, ERA_UNKNOWN);
}

static void long_notes_come_back_and_go(void **state)
{
    struct fixture *fixture = *state;
    static char long_text[100000];
    char *text = NULL;
    memset(long_text, 'x', sizeof(long_text) - 1);
    open_registry(fixture);
    assert_int_equal(registry_load_long_note(fixture->registry, "a", &text), REGISTRY_NONE);
    assert_null(text);
    assert_int_equal(registry_store_note(fixture->registry, "a", long_text, false), 0);
    assert_int_equal(registry_load_long_note(fixture->registry, "a", &text), 0);
    assert_string_equal(text, long_text);
    free(text);
    assert_int_equal(registry_remove_note(fixture->registry, "a"), 0);
    assert_int_equal(registry_remove_note(fixture->registry, "a"), 0);
    assert_int_equal(registry_load_long_note(fixture->registry, "a", &text), REGISTRY_NONE);
}

static void notes_come_back(void **state)
{
    struct fixture *fixture = *state;
    char text[REGISTRY_NOTE_SIZE];
    open_registry(fixture);
    assert_int_equal(registry_load_note(fixture->registry, "a", text), REGISTRY_NONE);
    assert_string_equal(text, "");
    assert_int_equal(registry_store_note(fixture->registry, "a", "first", true), 0);
    assert_int_equal(registry_store_note(fixture->registry, "a", "second", false), 0);
    assert_int_equal(registry_load_note(fixture->registry, "a", text), 0);
    assert_string_equal(text, "second");
}

static void forgetting_takes_all_that_is_known(void **state)
{
    struct fixture *fixture = *state;
    struct registry_level level = {.generation = 1};
    struct registry_memory memory = {.era = ERA_SSE};
    open_registry(fixture);
    for (enum kind kind = KIND_TOOLS; kind < KIND_COUNT; kind++) {
        store_level(fixture->registry, "gone", kind, &level);
        store_level(fixture->registry, "kept", kind, &level);
    }
    assert_int_equal(registry_begin(fixture->registry), 0);
    assert_int_equal(registry_store_memory(fixture->registry, "gone", &memory), 0);
    assert_int_equal(registry_store_memory(fixture->registry, "kept", &memory), 0);
    assert_int_equal(registry_forget(fixture->registry, "gone"), 0);
    assert_int_equal(registry_commit(fixture->registry), 0);
    for (enum kind kind = KIND_TOOLS; kind < KIND_COUNT; kind++) {
        assert_int_equal(registry_load_level(fixture->registry, "gone", kind, &level), REGISTRY_NONE);
        assert_int_equal(registry_load_level(fixture->registry, "kept", kind, &level), 0);
    }
    assert_int_equal(registry_load_memory(fixture->registry, "gone", &memory), REGISTRY_NONE);
    assert_int_equal(registry_load_memory(fixture->registry, "kept", &memory), 0);
}

static void on_known(void *user, const char *id, uint64_t generation)
{
    char *known = user;
    snprintf(known + strlen(known), 64 - strlen(known), "%s %u, ", id, (unsigned)generation);
}

static void each_server_is_known_once_by_its_highest_generation(void **state)
{
    struct fixture *fixture = *state;
    struct registry_memory memory = {.era = ERA_SSE};
    char known[64] = "";
    open_registry(fixture);
    store_level(fixture->registry, "a", KIND_TOOLS, &(struct registry_level){.generation = 7});
    store_level(fixture->registry, "a", KIND_PROMPTS, &(struct registry_level){.generation = 9});
    assert_int_equal(registry_begin(fixture->registry), 0);
    assert_int_equal(registry_store_memory(fixture->registry, "a", &memory), 0);
    assert_int_equal(registry_store_memory(fixture->registry, "b", &memory), 0);
    assert_int_equal(registry_commit(fixture->registry), 0);
    assert_int_equal(registry_each_known(fixture->registry, on_known, known), 0);
    assert_string_equal(known, "a 9, b 0, ");
}

static void batch_without_commit_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct registry_level level = {.generation = 1};
    open_registry(fixture);
    assert_int_equal(registry_begin(fixture->registry), 0);
    assert_int_equal(registry_store_level(fixture->registry, "a", KIND_TOOLS, &level), 0);
    open_registry(fixture);
    assert_int_equal(registry_load_level(fixture->registry, "a", KIND_TOOLS, &level), REGISTRY_NONE);
}

/* --- damage --- */

static void scribble(const char *path, off_t offset, size_t size)
{
    uint8_t bytes[4096];
    memset(bytes, 0xa5, sizeof(bytes));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (; size > 0; size -= sizeof(bytes), offset += (off_t)sizeof(bytes)) {
        assert_int_equal(pwrite(fd, bytes, sizeof(bytes), offset), sizeof(bytes));
    }
    close(fd);
}

static void fill_and_close(struct fixture *fixture)
{
    struct registry_level level = {.generation = 1};
    open_registry(fixture);
    assert_int_equal(registry_begin(fixture->registry), 0);
    for (int i = 0; i < 1000; i++) {
        char id[32];
        snprintf(id, sizeof(id), "server-%d", i);
        assert_int_equal(registry_store_level(fixture->registry, id, KIND_TOOLS, &level), 0);
    }
    assert_int_equal(registry_commit(fixture->registry), 0);
    registry_close(fixture->registry);
    fixture->registry = NULL;
}

/* Damage in the header, and damage in a page that only the check finds. */
static void damaged_registry_is_set_aside(void **state)
{
    static const off_t offsets[] = {0, 4096, 5 * 4096};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(offsets); i++) {
        struct stat status, kept;
        fill_and_close(fixture);
        scribble(fixture->file, offsets[i], 4096);
        assert_int_equal(stat(fixture->file, &status), 0);
        open_registry(fixture);
        check_servers(fixture->registry, "");
        assert_int_equal(registry_put_server(fixture->registry, "a", "{}"), 0);
        assert_true(each_file(fixture, "registry.db.damaged-", check_mode) >= 1);
        assert_int_equal(stat(fixture->file, &kept), 0);
        assert_true(kept.st_ino != status.st_ino);
        registry_close(fixture->registry);
        fixture->registry = NULL;
        each_file(fixture, "", remove_file);
    }
}

/* The log of the old database would be replayed into the new one if it kept its name. */
static void log_of_a_damaged_registry_goes_with_it(void **state)
{
    struct fixture *fixture = *state;
    char log[128];
    snprintf(log, sizeof(log), "%s-wal", fixture->file);
    scribble(fixture->file, 0, 8192);
    scribble(log, 0, 8192);
    open_registry(fixture);
    assert_true(each_file(fixture, "registry.db.damaged-", nothing) >= 2);
    check_servers(fixture->registry, "");
}

static void other_programs_database_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    char command[256];
    struct stat before, after;
    snprintf(command, sizeof(command), "sqlite3 %s 'CREATE TABLE theirs(x)'", fixture->file);
    if (system(command) != 0) {
        skip(); /* without the command line of SQLite */
    }
    assert_int_equal(stat(fixture->file, &before), 0);
    assert_int_equal(registry_open(fixture->dir, &fixture->registry, fixture->error), -EINVAL);
    assert_non_null(strstr(fixture->error, "another program"));
    assert_int_equal(stat(fixture->file, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(each_file(fixture, "", nothing), 1);
}

static void newer_version_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t version[] = {0, 0, 0, 2}; /* where SQLite keeps user_version */
    open_registry(fixture);
    registry_close(fixture->registry);
    fixture->registry = NULL;
    int fd = open(fixture->file, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, version, sizeof(version), 60), sizeof(version));
    close(fd);
    assert_int_equal(registry_open(fixture->dir, &fixture->registry, fixture->error), -ENOTSUP);
    assert_non_null(strstr(fixture->error, "version 2"));
    assert_non_null(strstr(fixture->error, "version 1"));
}

static void directory_that_is_none_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(registry_open("/no/such/directory", &fixture->registry, fixture->error), -ENOENT);
    assert_non_null(strstr(fixture->error, "--state-dir"));
    assert_null(fixture->registry);
}

/* systemd's DynamicUser makes the state directory a link. */
static void directory_may_be_a_link(void **state)
{
    struct fixture *fixture = *state;
    char link[80];
    snprintf(link, sizeof(link), "%s.link", fixture->dir);
    assert_int_equal(symlink(fixture->dir, link), 0);
    int result = registry_open(link, &fixture->registry, fixture->error);
    unlink(link);
    assert_int_equal(result, 0);
}

/* A limit on the size of files stands for a disk without room. */
static void full_disk_loses_a_batch_as_a_whole(void **state)
{
    struct fixture *fixture = *state;
    struct registry_level level = {.generation = 1};
    struct rlimit before, small;
    open_registry(fixture);
    store_level(fixture->registry, "old", KIND_TOOLS, &level);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 100 * 1024, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);

    int first_fault = 0;
    assert_int_equal(registry_begin(fixture->registry), 0);
    for (int i = 0; i < 50000; i++) {
        char id[32];
        snprintf(id, sizeof(id), "server-%d", i);
        int result = registry_store_level(fixture->registry, id, KIND_TOOLS, &level);
        assert_true(first_fault == 0 || result == first_fault);
        first_fault = result;
    }
    int result = registry_commit(fixture->registry);
    assert_true(result < 0);
    assert_true(first_fault == 0 || first_fault == result);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);

    assert_int_equal(registry_load_level(fixture->registry, "old", KIND_TOOLS, &level), 0);
    assert_int_equal(registry_load_level(fixture->registry, "server-0", KIND_TOOLS, &level), REGISTRY_NONE);
    store_level(fixture->registry, "new", KIND_TOOLS, &level);
    open_registry(fixture);
    assert_int_equal(registry_load_level(fixture->registry, "new", KIND_TOOLS, &level), 0);
}

/* A caller that gives a batch up at its first fault may begin another, or store a server. */
static void failed_batch_needs_no_commit(void **state)
{
    struct fixture *fixture = *state;
    struct registry_level level = {.generation = 1};
    open_registry(fixture);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(registry_begin(fixture->registry), 0);
        /* No id: refused by the column. */
        assert_int_equal(registry_store_level(fixture->registry, NULL, KIND_TOOLS, &level), -EIO);
        assert_int_equal(registry_forget(fixture->registry, "a"), -EIO);
    }
    assert_int_equal(registry_put_server(fixture->registry, "a", "{}"), 0);
    store_level(fixture->registry, "a", KIND_TOOLS, &level);
    assert_int_equal(registry_begin(fixture->registry), 0);
    assert_int_equal(registry_store_level(fixture->registry, NULL, KIND_TOOLS, &level), -EIO);
    assert_int_equal(registry_commit(fixture->registry), -EIO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(instance_lives_as_long_as_the_file),
        TEST(refresh_tokens_are_kept_until_they_are_removed),
        TEST(files_are_the_users_alone),
        TEST(servers_come_back_in_order),
        TEST(acknowledged_server_survives_a_kill),
        TEST(levels_come_back),
        TEST(memory_comes_back),
        TEST(notes_come_back),
        TEST(long_notes_come_back_and_go),
        TEST(each_server_is_known_once_by_its_highest_generation),
        TEST(forgetting_takes_all_that_is_known),
        TEST(batch_without_commit_is_lost),
        TEST(damaged_registry_is_set_aside),
        TEST(log_of_a_damaged_registry_goes_with_it),
        TEST(other_programs_database_is_left_alone),
        TEST(newer_version_is_refused),
        TEST(directory_that_is_none_is_refused),
        TEST(directory_may_be_a_link),
        TEST(full_disk_loses_a_batch_as_a_whole),
        TEST(failed_batch_needs_no_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
