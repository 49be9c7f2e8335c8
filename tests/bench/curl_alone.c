/* SPDX-License-Identifier: MIT */
/* mcp-bench-curl: what libcurl alone does for the requests of the broker, of the stateless era, with nothing around it. Each
 * server is asked for a stream, which is held, and once that has begun for its tools. Handles have the settings of the
 * broker's (small buffers, no cache of names, one parsed CA file for all), as many connects are under way, and a process
 * for each worker has its share of the servers. Answers are thrown away. The last connection is closed at once, as the
 * broker does, for many of a fleet's servers have the same address, and one would go on with that of another.
 *
 *   mcp-bench-curl SERVERS-FILE PROCESSES     a line on stdin begins; ends with its parent */
#include "common/compiler.h"

#include <curl/curl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTING_MAX = 256, IDLE_MAX = 32, EVENTS_MAX = 256 };
enum { STREAM_BUFFER_SIZE = 1024, BUFFER_SIZE = 16 * 1024, UPLOAD_BUFFER_SIZE = 16 * 1024 };

#define META                                                                                                           \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientInfo\":"    \
    "{\"name\":\"mcp-bench-curl\",\"version\":\"1\"},\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define REQUEST(method, params) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":{" params META "}}"

enum step { LISTEN, LIST, STEPS };

static const char *const METHODS[STEPS] = {"subscriptions/listen", "tools/list"};

static const char *const BODIES[STEPS] = {
    [LISTEN] = REQUEST("subscriptions/listen", "\"notifications\":{\"toolsListChanged\":true},"),
    [LIST] = REQUEST("tools/list", ""),
};

struct server {
    const char *url, *ca_file; /* NULL: the system's */
    CURL *stream;
    bool is_listening;
};

static struct {
    CURLM *multi;
    struct curl_slist *headers[STEPS];
    struct server *servers;
    size_t count, next, connecting, in_flight;
    int epoll;
    uint64_t timer_ms;     /* 0: none */
    struct server **begun; /* streams whose servers are to be asked for their tools */
    size_t begun_count;
} all;

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "mcp-bench-curl: %s\n", why);
    exit(EXIT_FAILURE);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- requests --- */

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct server *server = user;
    (void)bytes;
    if (server && !server->is_listening) {
        server->is_listening = true;
        all.begun[all.begun_count++] = server;
    }
    return size * count;
}

static void ask(struct server *server, enum step step)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        give_up("no memory");
    curl_easy_setopt(easy, CURLOPT_URL, server->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, server);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, BODIES[step]);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, all.headers[step]);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)(step == LISTEN ? STREAM_BUFFER_SIZE : BUFFER_SIZE));
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_SIZE);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, step == LIST ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* with one no parsed file is kept */
    if (server->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, server->ca_file);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, step == LISTEN ? server : NULL);
    if (step == LISTEN)
        server->stream = easy;
    if (curl_multi_add_handle(all.multi, easy) != CURLM_OK)
        give_up("no memory");
    curl_multi_setopt(all.multi, CURLMOPT_MAXCONNECTS, (long)(++all.in_flight + IDLE_MAX));
}

static void over(CURL *easy, CURLcode code)
{
    struct server *server;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &server);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200 || easy == server->stream)
        give_up(code != CURLE_OK ? curl_easy_strerror(code) : "a stream has ended, or an answer is none");
    curl_multi_remove_handle(all.multi, easy);
    curl_easy_cleanup(easy);
    all.in_flight--;
    all.connecting--;
}

/* What can be started now. */
static void start(void)
{
    while (all.begun_count > 0)
        ask(all.begun[--all.begun_count], LIST);
    for (; all.connecting < CONNECTING_MAX && all.next < all.count; all.connecting++)
        ask(&all.servers[all.next++], LISTEN);
}

/* --- the loop --- */

static int on_want_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *known)
{
    struct epoll_event event = {.data.fd = socket};
    (void)easy;
    (void)user;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(all.epoll, EPOLL_CTL_DEL, socket, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    epoll_ctl(all.epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
    curl_multi_assign(all.multi, socket, &all);
    return 0;
}

static int on_want_timer(CURLM *multi, long timeout_ms, void *user)
{
    (void)multi;
    (void)user;
    all.timer_ms = timeout_ms < 0 ? 0 : now_ms() + (uint64_t)timeout_ms;
    return 0;
}

static void act(int socket, uint32_t events)
{
    int running;
    int flags = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(all.multi, socket, flags, &running);
}

static void turn(void)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now = now_ms();
    int wait_ms = all.timer_ms == 0 ? -1 : all.timer_ms > now ? (int)(all.timer_ms - now) : 0;
    int count = epoll_wait(all.epoll, events, EVENTS_MAX, wait_ms);
    for (int i = 0; i < count; i++)
        act(events[i].data.fd, events[i].events);
    if (all.timer_ms != 0 && now_ms() >= all.timer_ms) {
        all.timer_ms = 0;
        act(CURL_SOCKET_TIMEOUT, 0);
    }
    int left;
    for (CURLMsg *message = curl_multi_info_read(all.multi, &left); message;
         message = curl_multi_info_read(all.multi, &left))
        over(message->easy_handle, message->data.result);
    start();
}

static void make_headers(void)
{
    static const char *const SAME[] = {"Content-Type: application/json", "Accept: application/json, text/event-stream",
                                       "MCP-Protocol-Version: 2026-07-28", "Expect:"};
    for (size_t step = 0; step < STEPS; step++) {
        char method[64];
        snprintf(method, sizeof(method), "Mcp-Method: %s", METHODS[step]);
        all.headers[step] = curl_slist_append(NULL, method);
        for (size_t i = 0; i < ARRAY_LENGTH(SAME); i++)
            all.headers[step] = curl_slist_append(all.headers[step], SAME[i]);
    }
}

static _Noreturn void run(void)
{
    all.epoll = epoll_create1(EPOLL_CLOEXEC);
    all.multi = curl_multi_init();
    all.begun = calloc(all.count + 1, sizeof(struct server *));
    if (all.epoll < 0 || !all.multi || !all.begun)
        give_up("no memory");
    curl_multi_setopt(all.multi, CURLMOPT_SOCKETFUNCTION, on_want_socket);
    curl_multi_setopt(all.multi, CURLMOPT_TIMERFUNCTION, on_want_timer);
    make_headers();
    start();
    for (;;)
        turn();
}

/* --- shares --- */

static void read_servers(const char *path, size_t processes, size_t index)
{
    json_t *file = json_load_file(path, 0, NULL);
    json_t *servers = json_object_get(file, "mcpServers");
    all.servers = calloc(json_object_size(servers) + 1, sizeof *all.servers);
    if (!all.servers)
        give_up("no memory");
    const char *name;
    json_t *server;
    size_t at = 0;
    json_object_foreach (servers, name, server) {
        if (at++ % processes == index)
            all.servers[all.count++] = (struct server){.url = json_string_value(json_object_get(server, "url")),
                                                       .ca_file = json_string_value(json_object_get(server, "caFile"))};
    }
}

int main(int argc, char *argv[])
{
    size_t processes = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (processes == 0)
        give_up("SERVERS-FILE PROCESSES");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (getchar() == EOF)
        return EXIT_FAILURE;
    for (size_t i = 0; i < processes; i++) {
        if (fork() != 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        read_servers(argv[1], processes, i);
        run();
    }
    return wait(NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
