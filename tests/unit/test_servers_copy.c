/* SPDX-License-Identifier: MIT */
/* The copy of the servers: what was written is read again, word for word, by nobody but us; what is none is refused. */
#include "broker/hub/servers_copy.h"

#include "hub_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct scene {
    char dir[64];
    char path[96];
};

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    snprintf(scene->dir, sizeof(scene->dir), "/dev/shm/test_servers_copy.XXXXXX");
    *state = scene;
    if (!mkdtemp(scene->dir))
        return -1;
    snprintf(scene->path, sizeof(scene->path), "%s/copy", scene->dir);
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    servers_copy_remove(scene->path);
    int result = rmdir(scene->dir); /* fails when a temporary file was left */
    free(scene);
    return result;
}

static void put_text(const struct scene *scene, const char *text)
{
    int fd = open(scene->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void what_was_written_is_read(void **state)
{
    const struct scene *scene = *state;
    struct server_def *defs[] = {
        def_called("a", "{\"headers\": {\"X\": \"${KEPT} \\u00e4\"}, \"workspaceId\": \"w\"}"),
        def_called("b\"", "{\"enabled\": false, \"events\": [\"prompts\"]}"),
    };
    const struct servers_file file = {.servers = defs, .count = ARRAY_LENGTH(defs)};
    struct servers_file copy;
    struct stat status;
    assert_int_equal(servers_copy_write(scene->path, &file), 0);
    assert_int_equal(servers_copy_write(scene->path, &file), 0); /* over the one that is there */
    assert_int_equal(stat(scene->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(servers_copy_read(scene->path, &copy), 0);
    assert_int_equal(copy.count, file.count);
    for (size_t i = 0; i < file.count; i++) {
        assert_string_equal(copy.servers[i]->id, defs[i]->id);
        assert_int_equal(copy.servers[i]->source, SOURCE_FILE);
        assert_true(server_def_equal(copy.servers[i], defs[i]));
        server_def_destroy(defs[i]);
    }
    servers_file_fini(&copy);
}

static void no_servers_are_a_copy_too(void **state)
{
    const struct scene *scene = *state;
    const struct servers_file none = {.servers = NULL};
    struct servers_file copy;
    assert_int_equal(servers_copy_write(scene->path, &none), 0);
    assert_int_equal(servers_copy_read(scene->path, &copy), 0);
    assert_int_equal(copy.count, 0);
    servers_file_fini(&copy);
}

static void what_is_none_is_refused(void **state)
{
    static const char *const texts[] = {
        "rubbish\n",
        "[]\n",
        "[\"a\"]\n",
        "[1, {}]\n",
        "[\"a\", {\"url\": 7}]\n",
        "[\"a\", {\"url\": \"http://h/\"}]\n[\"b\", {\"url\": \"http://h",
    };
    const struct scene *scene = *state;
    struct servers_file copy;
    assert_int_equal(servers_copy_read(scene->path, &copy), -ENOENT);
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        put_text(scene, texts[i]);
        assert_int_equal(servers_copy_read(scene->path, &copy), -EBADMSG);
        assert_int_equal(copy.count, 0);
    }
}

static void links_are_not_followed(void **state)
{
    const struct scene *scene = *state;
    struct servers_file copy;
    assert_int_equal(symlink("/dev/null", scene->path), 0);
    assert_int_equal(servers_copy_read(scene->path, &copy), -ELOOP);
}

int main(void)
{
#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(what_was_written_is_read),
        SCENE_TEST(no_servers_are_a_copy_too),
        SCENE_TEST(what_is_none_is_refused),
        SCENE_TEST(links_are_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
