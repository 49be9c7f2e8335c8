/* SPDX-License-Identifier: MIT */
/* What becomes of the code when there is no memory: linked into every unit test, asleep until MCP_TORTURE says how many
 * allocations of each test are to fail. Each test then runs once to count what is allocated in it, and once more for each
 * of that many allocations, spread over all of them, in a child of its own, in which that one allocation fails. (A number
 * that no test reaches tries all of them: MCP_TORTURE=1000000.)
 *
 * A test whose assertion does not hold then, or that waits in vain, is what one expects. A crash, a sanitizer's report, a
 * failed assert(), or a leak although the test went well, is not: it is printed with what the child wrote, and fails the run.
 *
 * The linker gives us malloc and the like of everything that is linked in statically (--wrap), which is our code and the test;
 * jansson's is replaced by its own means. (libuv aborts without memory, which is its answer to it.) libcmocka calls `_fail` through the linkage table, so ours is the
 * one; it ends the child on the spot, since what a fixture tears down after a test was left in the middle is nobody's concern:
 * the folders and files that the child made are known here, and removed, with the tables that belong to them. */
#include <dlfcn.h>
#include <ftw.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include <setjmp.h>

#include <cmocka.h>

enum { CHILD_LIMIT_S = 3, STRIDE = 7919, CHILD_FAILED = 1, CHILD_LEAKS = 97, MADE_MAX = 16, PATH_SIZE = 128 };

static struct shared {
    atomic_ullong count; /* allocations so far, in the child */
    atomic_uint made_count;
    char made[MADE_MAX][PATH_SIZE]; /* temporary folders and files, by the child */
} * shared;                         /* NULL: asleep */
static unsigned long long fail_at;  /* 0: none */
static bool is_child;

/* --- allocations --- */

static bool fails(void)
{
    return is_child && atomic_fetch_add(&shared->count, 1) + 1 == fail_at;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
int __real__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction set_up, CMFixtureFunction tear_down);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
char *__real_mkdtemp(char *template);
char *__wrap_mkdtemp(char *template);
int __real_mkstemp(char *template);
int __wrap_mkstemp(char *template);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction set_up, CMFixtureFunction tear_down);
void __real__assert_string_equal(const char *a, const char *b, const char *file, int line);
void __real__assert_memory_equal(const void *a, const void *b, size_t size, const char *file, int line);
void __wrap__assert_string_equal(const char *a, const char *b, const char *file, int line);
void __wrap__assert_memory_equal(const void *a, const void *b, size_t size, const char *file, int line);
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return fails() ? NULL : __real_strndup(text, size);
}

int __wrap_asprintf(char **out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = fails() ? -1 : vasprintf(out, format, arguments);
    va_end(arguments);
    return result;
}

/* --- a child --- */

static void note(const char *path)
{
    unsigned at = atomic_fetch_add(&shared->made_count, 1);
    if (at >= MADE_MAX || strlen(path) >= PATH_SIZE)
        abort();
    snprintf(shared->made[at], PATH_SIZE, "%s", path);
}

char *__wrap_mkdtemp(char *template)
{
    char *folder = __real_mkdtemp(template);
    if (is_child && folder != NULL)
        note(folder);
    return folder;
}

int __wrap_mkstemp(char *template)
{
    int fd = __real_mkstemp(template);
    if (is_child && fd >= 0)
        note(template);
    return fd;
}

/* cmocka compares without looking. */
void __wrap__assert_string_equal(const char *a, const char *b, const char *file, int line)
{
    if (is_child && (a == NULL || b == NULL))
        _exit(CHILD_FAILED);
    __real__assert_string_equal(a, b, file, line);
}

void __wrap__assert_memory_equal(const void *a, const void *b, size_t size, const char *file, int line)
{
    if (is_child && (a == NULL || b == NULL))
        _exit(CHILD_FAILED);
    __real__assert_memory_equal(a, b, size, file, line);
}

void _fail(const char *const file, const int line)
{
    if (is_child)
        _exit(CHILD_FAILED);
    void (*real)(const char *, int);
    void *found = dlsym(RTLD_NEXT, "_fail");
    memcpy(&real, &found, sizeof(real));
    real(file, line);
    abort(); /* it does not return */
}

static void run_child(const struct CMUnitTest *test, CMFixtureFunction set_up, CMFixtureFunction tear_down, int output)
{
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    alarm(fail_at > 0 ? CHILD_LIMIT_S : 0);
    is_child = true;
    json_set_alloc_funcs(__wrap_malloc, free);
    int failed = __real__cmocka_run_group_tests(test->name, test, 1, set_up, tear_down);
    is_child = false;
    fflush(NULL);
    if (failed != 0)
        _exit(CHILD_FAILED);
    _exit(__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0 ? CHILD_LEAKS : 0);
}

/* --- the parent --- */

struct torture {
    CMFixtureFunction set_up, tear_down;
    unsigned found, runs;
};

/* It may have been the run directory of a table that is elsewhere (common/table_file.c). */
static void remove_table_of(const char *folder)
{
    char table[64];
    snprintf(table, sizeof(table), "/dev/shm/mcp-broker-%u-%016" PRIx64, (unsigned)geteuid(),
             (uint64_t)XXH3_64bits(folder, strlen(folder)));
    unlink(table);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)place;
    if (type == FTW_DP)
        remove_table_of(path);
    return remove(path);
}

static void remove_what_was_made(void)
{
    unsigned count = atomic_exchange(&shared->made_count, 0);
    for (unsigned i = 0; i < count; i++) {
        remove_table_of(shared->made[i]);
        nftw(shared->made[i], remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

/* What the child wrote, to be freed. */
static char *read_all(int output)
{
    off_t size = lseek(output, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    if (text == NULL || pread(output, text, (size_t)size, 0) != size)
        abort();
    return text;
}

/* jansson 2.14 and libjwt 1.10 have places of their own where they do not look. The innermost frame of a report that is
 * of a library they call, or of theirs, comes before the first one that has a source file of ours. */
static bool is_theirs(const char *text)
{
    const char *frame = strstr(text, "#0 0x");
    const char *jansson = frame != NULL ? strstr(frame, "/libjansson.so") : NULL;
    const char *jwt = frame != NULL ? strstr(frame, "/libjwt.so") : NULL;
    const char *ours = frame != NULL ? strstr(frame, " ../../") : NULL;
    while (ours != NULL && strncmp(ours, " ../../../../src/libsanitizer", 29) == 0)
        ours = strstr(ours + 1, " ../../");
    return (jansson != NULL && (ours == NULL || jansson < ours)) || (jwt != NULL && (ours == NULL || jwt < ours));
}

/* Runs the test with the allocation `point` failing (0: none), and says what is wrong about how it ended. */
static void run_at(struct torture *torture, const struct CMUnitTest *test, unsigned long long point)
{
    int output = memfd_create("output", MFD_CLOEXEC), status = 0;
    atomic_store(&shared->count, 0);
    fail_at = point;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        run_child(test, torture->set_up, torture->tear_down, output);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    torture->runs++;
    remove_what_was_made();
    bool is_late = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    bool is_right =
        WIFEXITED(status) && (WEXITSTATUS(status) == 0 || (WEXITSTATUS(status) == CHILD_FAILED && point > 0));
    char *text = read_all(output);
    if (!is_right && !(is_late && point > 0) && !is_theirs(text)) {
        torture->found++;
        printf("%s\ntorture: %s, allocation %llu: status %#x\n", text, test->name, point, (unsigned)status);
    }
    free(text);
    close(output);
}

int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction set_up, CMFixtureFunction tear_down)
{
    const char *wanted = getenv("MCP_TORTURE");
    const char *only = getenv("MCP_TORTURE_TEST");
    if (wanted == NULL)
        return __real__cmocka_run_group_tests(name, tests, count, set_up, tear_down);
    unsigned long long most = strtoull(wanted, NULL, 10);
    alarm(0); /* of a test that means to end itself */
    struct torture torture = {.set_up = set_up, .tear_down = tear_down};
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (only != NULL && strcmp(only, tests[i].name) != 0)
            continue;
        run_at(&torture, &tests[i], 0);
        unsigned long long points = atomic_load(&shared->count);
        unsigned long long stride = points % STRIDE == 0 ? 1 : STRIDE;
        for (unsigned long long k = 0; k < points && k < most; k++)
            run_at(&torture, &tests[i], 1 + k * stride % points);
    }
    printf("torture: %u runs, %u faults\n", torture.runs, torture.found);
    return torture.found > 0 ? 1 : 0;
}
