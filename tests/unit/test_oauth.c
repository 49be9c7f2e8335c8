/* SPDX-License-Identifier: MIT */
/* Tokens, from a small server that is MCP server and authorization server in one, on a loopback port. `play` says how it
 * behaves; it writes down what it was asked. */
#include "worker/oauth/oauth.h"

#include "tests/unit/server_fixture.h"
#include "worker/oauth/bearer.h"

#include <signal.h>

/* --- the server --- */

static struct {
    pthread_mutex_t lock;
    char log[4096];       /* "METHOD path\n" of each request */
    char form[4096];      /* of the last token request */
    const char *metadata; /* of the resource, with PORT for the port; NULL: 404 */
    const char *issuer;   /* metadata of the issuer, as well; NULL: 404 */
    int token_status;
    const char *token_body; /* NULL: a token */
    int lifetime_s;         /* 0: not told */
    const char *wanted;     /* token that is good; NULL: the last one */
    const char *scope;      /* a 403 asks for it, until a token was asked for with it; NULL: none */
    const char *challenge;  /* of a 401; NULL: with resource_metadata */
    int tokens;
} play;

#define METADATA "{\"resource\":\"http://127.0.0.1:PORT/\",\"authorization_servers\":[\"http://127.0.0.1:PORT/as\"]}"
#define ISSUER   "{\"issuer\":\"http://127.0.0.1:PORT/as\",\"token_endpoint\":\"http://127.0.0.1:PORT/token\"}"

static bool reply(int fd, int status, const char *header, const char *body)
{
    char head[512];
    snprintf(head, sizeof head, "HTTP/1.1 %d X\r\n%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             status, header, strlen(body));
    return send_text(fd, head) && send_text(fd, body);
}

static bool reply_document(int fd, const char *text)
{
    char body[1024] = "";
    size_t size = 0;
    if (text == NULL)
        return reply(fd, 404, "", "nothing here");
    for (const char *port = strstr(text, "PORT"); port != NULL; port = strstr(text, "PORT")) {
        size += (size_t)snprintf(body + size, sizeof body - size, "%.*s%d", (int)(port - text), text, server.port);
        text = port + strlen("PORT");
    }
    snprintf(body + size, sizeof body - size, "%s", text);
    return reply(fd, 200, "", body);
}

static bool reply_token(int fd, const char *request)
{
    char body[256];
    char lifetime[32] = "";
    snprintf(play.form, sizeof play.form, "%s", strstr(request, "\r\n\r\n") + 4);
    if (play.token_body != NULL || play.token_status != 200)
        return reply(fd, play.token_status, "", play.token_body != NULL ? play.token_body : "");
    play.tokens++;
    if (play.lifetime_s > 0)
        snprintf(lifetime, sizeof lifetime, ",\"expires_in\":%d", play.lifetime_s);
    snprintf(body, sizeof body, "{\"access_token\":\"t%d\",\"token_type\":\"Bearer\",\"refresh_token\":\"r%d\"%s}",
             play.tokens, play.tokens, lifetime);
    return reply(fd, 200, "", body);
}

static bool reply_mcp(int fd, const char *request)
{
    char line[64];
    char challenge[256];
    const char *wanted = play.wanted;
    char last[16];
    snprintf(last, sizeof last, "t%d", play.tokens);
    snprintf(line, sizeof line, "\r\nAuthorization: Bearer %s\r\n", wanted != NULL ? wanted : last);
    if (strstr(request, line) == NULL) {
        snprintf(challenge, sizeof challenge,
                 "WWW-Authenticate: Bearer resource_metadata=\"http://127.0.0.1:%d/metadata\"\r\n", server.port);
        return reply(fd, 401, play.challenge != NULL ? play.challenge : challenge, "");
    }
    if (play.scope != NULL && strstr(play.form, play.scope) == NULL) {
        snprintf(challenge, sizeof challenge, "WWW-Authenticate: Bearer error=\"insufficient_scope\", scope=\"%s\"\r\n",
                 play.scope);
        return reply(fd, 403, challenge, "");
    }
    return reply(fd, 200, "", "welcome");
}

static bool server_answer(int fd, const char *request, const char *path)
{
    pthread_mutex_lock(&play.lock);
    size_t size = strlen(play.log);
    snprintf(play.log + size, sizeof play.log - size, "%.*s %s\n", (int)strcspn(request, " "), request, path);
    bool keep;
    if (strcmp(path, "/metadata") == 0)
        keep = reply_document(fd, play.metadata);
    else if (strcmp(path, "/.well-known/oauth-authorization-server/as") == 0)
        keep = reply_document(fd, play.issuer);
    else if (strcmp(path, "/token") == 0)
        keep = reply_token(fd, request);
    else if (strncmp(path, "/mcp", 4) == 0)
        keep = reply_mcp(fd, request);
    else
        keep = reply(fd, 404, "", "nothing here");
    pthread_mutex_unlock(&play.lock);
    return keep;
}

/* How often `line` was asked for. */
static int asked(const char *line)
{
    int count = 0;
    pthread_mutex_lock(&play.lock);
    for (const char *at = strstr(play.log, line); at != NULL; at = strstr(at + 1, line))
        count++;
    pthread_mutex_unlock(&play.lock);
    return count;
}

/* --- the client --- */

struct client {
    uv_loop_t loop;
    struct http *http;
    struct oauth *oauth;
};

/* Somebody who wants a token. */
struct wanting {
    struct server_def def;
    struct server_extras extras;
    char url[128];
    struct oauth_account *account;
    struct oauth_wait *wait;
    int answers;
    char token[64]; /* "": none */
    struct oauth_failure failure;
};

static void on_answer(void *user, const char *token, const struct oauth_failure *failure)
{
    struct wanting *wanting = user;
    assert_non_null(wanting->wait);
    wanting->wait = NULL;
    wanting->answers++;
    snprintf(wanting->token, sizeof wanting->token, "%s", token != NULL ? token : "");
    wanting->failure = failure != NULL ? *failure : (struct oauth_failure){.retry_after_ms = 0};
}

static bool guard_all(const void *user, const struct sockaddr *address, char *why, size_t why_size)
{
    (void)user;
    (void)address;
    snprintf(why, why_size, "not there");
    return false;
}

static json_t *secret_auth(void)
{
    return json_pack("{s:s, s:s, s:s}", "type", "client_credentials", "clientId", "me", "clientSecret", "secret");
}

/* Takes `auth`. */
static void begin(struct client *client, const char *path, json_t *auth, http_guard guard, struct wanting *wanting)
{
    *wanting = (struct wanting){.def = {.url = wanting->url, .extras = &wanting->extras},
                                .extras = {.auth = auth, .proxy = ""}};
    snprintf(wanting->url, sizeof wanting->url, "http://127.0.0.1:%d%s", server.port, path);
    assert_int_equal(oauth_account_open(client->oauth, &wanting->def, guard, NULL, &wanting->account), 0);
}

static void ask(struct wanting *wanting, const char *www_authenticate)
{
    const struct oauth_refusal refusal = {.status = 401, .www_authenticate = www_authenticate};
    wanting->answers = 0;
    assert_int_equal(oauth_wait_start(wanting->account, &refusal, on_answer, wanting, &wanting->wait), 0);
    assert_int_equal(wanting->answers, 0);
}

static void finish(struct wanting *wanting)
{
    oauth_wait_cancel(&wanting->wait);
    oauth_account_release(wanting->account);
    json_decref(wanting->extras.auth);
}

static void wait_for(struct client *client, const int *count, int wanted)
{
    while (*count < wanted)
        uv_run(&client->loop, UV_RUN_ONCE);
}

/* Asks after a challenge that names the metadata, and waits for the answer. Takes `auth`. */
static struct wanting *run(struct client *client, json_t *auth)
{
    static struct wanting wanting;
    char challenge[128];
    snprintf(challenge, sizeof challenge, "Bearer resource_metadata=\"http://127.0.0.1:%d/metadata\"", server.port);
    begin(client, "/mcp", auth, NULL, &wanting);
    ask(&wanting, challenge);
    wait_for(client, &wanting.answers, 1);
    finish(&wanting);
    return &wanting;
}

static int set_up(void **state)
{
    static struct client client;
    memset(&play, 0, sizeof play);
    pthread_mutex_init(&play.lock, NULL);
    play.token_status = 200;
    play.metadata = METADATA;
    play.issuer = ISSUER;
    server_start();
    assert_int_equal(uv_loop_init(&client.loop), 0);
    assert_int_equal(http_create(&client.loop, &client.http), 0);
    assert_int_equal(oauth_create(&client.loop, client.http, &client.oauth), 0);
    *state = &client;
    return 0;
}

/* Nothing may be left on the loop. */
static int tear_down(void **state)
{
    struct client *client = *state;
    oauth_destroy(client->oauth);
    http_destroy(client->http);
    uv_run(&client->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&client->loop), 0);
    server_stop();
    return 0;
}

/* --- the way to a token --- */

static void test_the_way(void **state)
{
    char form[256];
    const struct wanting *wanting = run(*state, secret_auth());
    assert_string_equal(wanting->token, "t1");
    assert_string_equal(play.log, "GET /metadata\nGET /.well-known/oauth-authorization-server/as\nPOST /token\n");
    snprintf(form, sizeof form, "grant_type=client_credentials&resource=http%%3A%%2F%%2F127.0.0.1%%3A%d%%2F",
             server.port);
    assert_string_equal(play.form, form);
}

static void test_the_way_without_metadata(void **state)
{
    play.metadata = NULL;
    const struct wanting *wanting = run(*state, secret_auth());
    assert_string_equal(wanting->token, "t1");
    assert_string_equal(play.log, "GET /metadata\n"
                                  "GET /.well-known/oauth-protected-resource/mcp\n"
                                  "GET /.well-known/oauth-protected-resource\n"
                                  "GET /.well-known/oauth-authorization-server\n"
                                  "GET /.well-known/openid-configuration\n"
                                  "POST /token\n");
}

static void test_a_way_that_is_given(void **state)
{
    struct client *client = *state;
    struct wanting wanting;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/token", server.port);
    json_t *auth = secret_auth();
    json_object_set_new(auth, "tokenEndpoint", json_string(url));
    begin(client, "/mcp", auth, NULL, &wanting);
    assert_true(oauth_account_knows_way(wanting.account));
    assert_int_equal(oauth_wait_start(wanting.account, NULL, on_answer, &wanting, &wanting.wait), 0);
    wait_for(client, &wanting.answers, 1);
    assert_string_equal(wanting.token, "t1");
    assert_string_equal(play.log, "POST /token\n");
    finish(&wanting);
}

static void test_an_issuer_that_is_given(void **state)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/as", server.port);
    json_t *auth = secret_auth();
    json_object_set_new(auth, "issuer", json_string(url));
    assert_string_equal(run(*state, auth)->token, "t1");
    assert_string_equal(play.log, "GET /.well-known/oauth-authorization-server/as\nPOST /token\n");
}

#define SEVERAL(first)                                                                                                 \
    "{\"resource\":\"http://127.0.0.1:PORT/\",\"authorization_servers\":[\"" first "\",\"http://127.0.0.1:PORT/as\"]}"

static void test_the_next_issuer_is_tried(void **state)
{
    play.metadata = SEVERAL("http://127.0.0.1:PORT/none");
    assert_string_equal(run(*state, secret_auth())->token, "t1");
    assert_int_equal(asked("GET /.well-known/oauth-authorization-server/none"), 1);
    assert_int_equal(asked("GET /.well-known/openid-configuration/none"), 1);
    assert_int_equal(asked("GET /.well-known/oauth-authorization-server/as"), 1);
}

static void test_the_next_best_issuer_has_no_last_word(void **state)
{
    play.metadata = SEVERAL("http://127.0.0.1:1/gone");
    play.token_status = 400;
    play.token_body = "{\"error\":\"invalid_client\"}";
    const struct wanting *wanting = run(*state, secret_auth());
    assert_int_equal(wanting->failure.reason, OAUTH_OUTAGE);
    assert_string_equal(wanting->failure.text, "token endpoint: HTTP 400 invalid_client");
    assert_int_equal(asked("POST /token"), 1);
}

static void test_a_refresh_token_is_not_shown_to_the_next_best_issuer(void **state)
{
    play.metadata = SEVERAL("http://127.0.0.1:1/gone");
    json_t *auth = json_pack("{s:s, s:s, s:s}", "type", "refresh_token", "clientId", "c", "refreshToken", "r0");
    const struct wanting *wanting = run(*state, auth);
    assert_int_equal(wanting->failure.reason, OAUTH_OUTAGE);
    assert_int_equal(asked("POST /token"), 0);
    play.metadata = SEVERAL("http://127.0.0.1:PORT/none");
    auth = json_pack("{s:s, s:s, s:s}", "type", "refresh_token", "clientId", "c2", "refreshToken", "r0");
    assert_string_equal(run(*state, auth)->token, "t1");
}

static void test_no_issuer_can_be_used(void **state)
{
    play.metadata = SEVERAL("http://127.0.0.1:PORT/none");
    play.issuer = "{\"issuer\":\"http://127.0.0.1:PORT/another\"}";
    const struct wanting *wanting = run(*state, secret_auth());
    assert_int_equal(wanting->failure.reason, OAUTH_REFUSED);
    assert_string_equal(wanting->failure.text, "authorization server metadata: there is none");
}

static void test_scopes(void **state)
{
    struct client *client = *state;
    struct wanting wanting;
    play.metadata =
        "{\"resource\":\"http://127.0.0.1:PORT/mcp\",\"authorization_servers\":[\"http://127.0.0.1:PORT/as\"],"
        "\"scopes_supported\":[\"x\",\"y\"]}";
    run(client, secret_auth());
    assert_non_null(strstr(play.form, "&scope=x%20y"));
    begin(client, "/mcp", secret_auth(), NULL, &wanting);
    const struct oauth_refusal refusal = {.status = 401, .www_authenticate = "Bearer scope=z", .token = "t1"};
    assert_int_equal(oauth_wait_start(wanting.account, &refusal, on_answer, &wanting, &wanting.wait), 0);
    wait_for(client, &wanting.answers, 1);
    assert_non_null(strstr(play.form, "&scope=z"));
    finish(&wanting);
    json_t *auth = secret_auth();
    json_object_set_new(auth, "scope", json_string("own"));
    run(client, auth);
    assert_non_null(strstr(play.form, "&scope=own"));
}

/* --- what goes wrong --- */

static void expect_failure(struct client *client, enum oauth_reason reason, const char *text)
{
    const struct wanting *wanting = run(client, secret_auth());
    assert_string_equal(wanting->token, "");
    assert_string_equal(wanting->failure.text, text);
    assert_int_equal(wanting->failure.reason, reason);
}

static void test_refused_by_the_token_endpoint(void **state)
{
    play.token_status = 400;
    play.token_body = "{\"error\":\"invalid_client\",\"error_description\":\"no secret\"}";
    expect_failure(*state, OAUTH_REFUSED, "token endpoint: HTTP 400 invalid_client");
}

static void test_an_error_of_no_known_name(void **state)
{
    play.token_status = 401;
    play.token_body = "{\"error\":\"secret\"}";
    expect_failure(*state, OAUTH_REFUSED, "token endpoint: HTTP 401");
}

static void test_an_outage_of_the_token_endpoint(void **state)
{
    play.token_status = 503;
    expect_failure(*state, OAUTH_OUTAGE, "token endpoint: HTTP 503");
}

static void test_an_answer_without_a_token(void **state)
{
    play.token_body = "<html>";
    expect_failure(*state, OAUTH_REFUSED, "token endpoint: the answer is no JSON object");
}

static void test_an_answer_without_end(void **state)
{
    static char large[70 * 1024];
    memset(large, 'x', sizeof large - 1);
    play.token_body = large;
    expect_failure(*state, OAUTH_REFUSED, "token endpoint: the answer is larger than 64 KiB");
}

static void test_a_redirect(void **state)
{
    play.token_status = 307;
    expect_failure(*state, OAUTH_REFUSED, "token endpoint: HTTP 307: a redirect, which is not followed");
}

static void test_metadata_of_another_resource(void **state)
{
    play.metadata = "{\"resource\":\"https://example.com\"}";
    expect_failure(*state, OAUTH_REFUSED, "resource metadata: it is for another resource");
    assert_int_equal(asked("POST"), 0);
}

static void test_metadata_of_another_issuer(void **state)
{
    play.issuer = "{\"issuer\":\"https://example.com\",\"token_endpoint\":\"http://127.0.0.1:PORT/token\"}";
    expect_failure(*state, OAUTH_REFUSED, "authorization server metadata: it is of another issuer");
    assert_int_equal(asked("POST"), 0);
}

static void test_no_metadata_of_the_issuer(void **state)
{
    play.issuer = NULL;
    expect_failure(*state, OAUTH_REFUSED, "authorization server metadata: there is none");
    assert_int_equal(asked("GET"), 4);
}

static void test_guard(void **state)
{
    struct client *client = *state;
    struct wanting wanting;
    begin(client, "/mcp", secret_auth(), guard_all, &wanting);
    ask(&wanting, "");
    wait_for(client, &wanting.answers, 1);
    assert_int_equal(wanting.failure.reason, OAUTH_FORBIDDEN);
    assert_string_equal(wanting.failure.text, "resource metadata: not there");
    assert_int_equal(server.connections, 0);
    finish(&wanting);
}

/* --- what is shared, and kept --- */

static void test_one_request_for_all_who_share(void **state)
{
    struct client *client = *state;
    struct wanting wantings[5];
    char path[16];
    char challenge[128];
    snprintf(challenge, sizeof challenge, "Bearer resource_metadata=\"http://127.0.0.1:%d/metadata\"", server.port);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "/mcp/%d", i / 2); /* some are the same server */
        begin(client, path, secret_auth(), NULL, &wantings[i]);
        ask(&wantings[i], challenge);
    }
    for (int i = 0; i < 5; i++) {
        wait_for(client, &wantings[i].answers, 1);
        assert_string_equal(wantings[i].token, "t1");
    }
    assert_int_equal(asked("GET /metadata"), 3);
    assert_int_equal(asked("POST /token"), 1);
    for (int i = 0; i < 5; i++)
        finish(&wantings[i]);
}

static void test_other_credentials_are_not_shared(void **state)
{
    run(*state, secret_auth());
    json_t *auth = secret_auth();
    json_object_set_new(auth, "clientSecret", json_string("other"));
    assert_string_equal(run(*state, auth)->token, "t2");
}

static void test_a_token_outlives_who_asked(void **state)
{
    struct client *client = *state;
    struct wanting wanting;
    run(client, secret_auth());
    begin(client, "/mcp", secret_auth(), NULL, &wanting);
    assert_string_equal(oauth_account_token(wanting.account), "t1");
    ask(&wanting, ""); /* it had none when it was refused */
    wait_for(client, &wanting.answers, 1);
    assert_string_equal(wanting.token, "t1");
    assert_int_equal(asked("POST /token"), 1);
    finish(&wanting);
}

static void test_a_failure_is_remembered_for_a_moment(void **state)
{
    play.token_status = 400;
    play.token_body = "{\"error\":\"invalid_client\"}";
    expect_failure(*state, OAUTH_REFUSED, "token endpoint: HTTP 400 invalid_client");
    expect_failure(*state, OAUTH_REFUSED, "token endpoint: HTTP 400 invalid_client");
    assert_int_equal(asked("POST /token"), 1);
}

static void test_a_token_is_renewed_before_it_ends(void **state)
{
    struct client *client = *state;
    struct wanting wanting;
    play.lifetime_s = 2;
    begin(client, "/mcp", secret_auth(), NULL, &wanting);
    ask(&wanting, "");
    wait_for(client, &wanting.answers, 1);
    while (asked("POST /token") < 2) {
        const char *token = oauth_account_token(wanting.account);
        assert_non_null(token);
        uv_run(&client->loop, UV_RUN_ONCE);
    }
    while (strcmp(oauth_account_token(wanting.account), "t2") != 0)
        uv_run(&client->loop, UV_RUN_ONCE);
    finish(&wanting);
}

static void test_a_new_refresh_token_takes_the_place_of_the_old(void **state)
{
    struct client *client = *state;
    struct wanting wanting;
    begin(client, "/mcp", json_pack("{s:s, s:s, s:s}", "type", "refresh_token", "clientId", "me", "refreshToken", "r0"),
          NULL, &wanting);
    ask(&wanting, "");
    wait_for(client, &wanting.answers, 1);
    assert_non_null(strstr(play.form, "refresh_token=r0&"));
    const struct oauth_refusal refusal = {.status = 401, .www_authenticate = "", .token = "t1"};
    assert_int_equal(oauth_wait_start(wanting.account, &refusal, on_answer, &wanting, &wanting.wait), 0);
    wait_for(client, &wanting.answers, 2);
    assert_string_equal(wanting.token, "t2");
    assert_non_null(strstr(play.form, "refresh_token=r1&"));
    finish(&wanting);
}

static void test_cancelled_at_each_step(void **state)
{
    struct client *client = *state;
    for (int requests = 0; requests < 4; requests++) {
        struct wanting wanting;
        begin(client, "/mcp", secret_auth(), NULL, &wanting);
        ask(&wanting, "Bearer");
        while (server.requests < requests)
            uv_run(&client->loop, UV_RUN_ONCE);
        finish(&wanting);
        assert_int_equal(wanting.answers, 0);
    }
}

/* --- requests with a token --- */

struct heard {
    struct bearer *bearer;
    int heads, ends, denials;
    int status;
    char body[64];
    struct oauth_failure failure;
};

static void on_head(void *user, const struct http_head *head)
{
    struct heard *heard = user;
    heard->heads++;
    heard->status = head->status;
}

static void on_body(void *user, const uint8_t *bytes, size_t size)
{
    struct heard *heard = user;
    snprintf(heard->body, sizeof heard->body, "%.*s", (int)size, (const char *)bytes);
}

static void on_end(void *user, const struct http_end *end)
{
    struct heard *heard = user;
    assert_int_equal(end->reason, HTTP_DONE);
    heard->ends++;
}

static void on_denied(void *user, const struct oauth_failure *failure)
{
    struct heard *heard = user;
    heard->denials++;
    heard->ends++;
    heard->failure = *failure;
}

static const struct bearer_handlers HANDLERS = {.http = {.on_head = on_head, .on_body = on_body, .on_end = on_end},
                                                .on_denied = on_denied};

/* Asks the MCP server, and waits for the end. */
static struct heard request_with(struct client *client, const char *method, bool close_after)
{
    static const char *const HEADERS[] = {"X-One: 1"};
    struct wanting wanting;
    struct heard heard = {.heads = 0};
    begin(client, "/mcp", secret_auth(), NULL, &wanting);
    const struct http_request request = {.method = method,
                                         .url = wanting.url,
                                         .headers = HEADERS,
                                         .header_count = 1,
                                         .body = "{}",
                                         .body_size = 2,
                                         .total_timeout_ms = 20000,
                                         .close_after = close_after,
                                         .proxy = ""};
    int result = bearer_start(client->http, wanting.account, &request, &HANDLERS, &heard, &heard.bearer);
    assert_int_equal(result, 0);
    finish(&wanting);
    wait_for(client, &heard.ends, 1);
    return heard;
}

static struct heard post(struct client *client)
{
    return request_with(client, "POST", false);
}

static void test_a_request_is_made_again_with_a_token(void **state)
{
    struct heard heard = post(*state);
    assert_int_equal(heard.status, 200);
    assert_int_equal(heard.heads, 1);
    assert_string_equal(heard.body, "welcome");
    assert_int_equal(asked("POST /mcp"), 2);
    heard = post(*state); /* the token is known now */
    assert_int_equal(heard.status, 200);
    assert_int_equal(asked("POST /mcp"), 3);
    assert_int_equal(asked("POST /token"), 1);
}

static void test_a_token_that_is_refused_is_replaced_once(void **state)
{
    play.wanted = "another";
    struct heard heard = post(*state);
    assert_int_equal(heard.status, 401);
    assert_int_equal(asked("POST /mcp"), 2);
    assert_int_equal(asked("POST /token"), 1);
    heard = post(*state);
    assert_int_equal(heard.status, 401);
    assert_int_equal(asked("POST /mcp"), 4);
    assert_int_equal(asked("POST /token"), 2);
    play.wanted = NULL;
    heard = post(*state);
    assert_int_equal(heard.status, 200);
}

static void test_scopes_are_added_once(void **state)
{
    play.challenge = "WWW-Authenticate: Bearer scope=\"a\"\r\n";
    play.scope = "b";
    struct heard heard = post(*state);
    assert_int_equal(heard.status, 200);
    assert_non_null(strstr(play.form, "&scope=a%20b"));
    assert_int_equal(asked("POST /token"), 2);
    play.scope = "never%there"; /* the form has it in another spelling: it goes on being asked for */
    heard = post(*state);
    assert_int_equal(heard.status, 403);
    assert_int_equal(asked("POST /token"), 3);
    heard = post(*state);
    assert_int_equal(heard.denials, 1);
    assert_int_equal(heard.failure.reason, OAUTH_REFUSED);
    assert_int_equal(asked("POST /token"), 3);
}

static void test_no_token_to_be_had(void **state)
{
    play.token_status = 400;
    play.token_body = "{\"error\":\"unauthorized_client\"}";
    struct heard heard = post(*state);
    assert_int_equal(heard.denials, 1);
    assert_int_equal(heard.heads, 0);
    assert_string_equal(heard.failure.text, "token endpoint: HTTP 400 unauthorized_client");
}

static void test_a_farewell_is_not_made_again(void **state)
{
    struct heard heard = request_with(*state, "DELETE", true);
    assert_int_equal(heard.status, 401);
    assert_int_equal(asked("GET"), 0);
}

static void test_a_request_whose_connection_is_not_kept_is_made_again(void **state)
{
    assert_int_equal(request_with(*state, "POST", true).status, 200);
    assert_int_equal(asked("POST /mcp"), 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    alarm(50); /* a wait that has no end */
    const struct CMUnitTest tests[] = {
        TEST(test_the_way),
        TEST(test_the_way_without_metadata),
        TEST(test_a_way_that_is_given),
        TEST(test_an_issuer_that_is_given),
        TEST(test_the_next_issuer_is_tried),
        TEST(test_the_next_best_issuer_has_no_last_word),
        TEST(test_a_refresh_token_is_not_shown_to_the_next_best_issuer),
        TEST(test_no_issuer_can_be_used),
        TEST(test_scopes),
        TEST(test_refused_by_the_token_endpoint),
        TEST(test_an_error_of_no_known_name),
        TEST(test_an_outage_of_the_token_endpoint),
        TEST(test_an_answer_without_a_token),
        TEST(test_an_answer_without_end),
        TEST(test_a_redirect),
        TEST(test_metadata_of_another_resource),
        TEST(test_metadata_of_another_issuer),
        TEST(test_no_metadata_of_the_issuer),
        TEST(test_guard),
        TEST(test_one_request_for_all_who_share),
        TEST(test_other_credentials_are_not_shared),
        TEST(test_a_token_outlives_who_asked),
        TEST(test_a_failure_is_remembered_for_a_moment),
        TEST(test_a_token_is_renewed_before_it_ends),
        TEST(test_a_new_refresh_token_takes_the_place_of_the_old),
        TEST(test_cancelled_at_each_step),
        TEST(test_a_request_is_made_again_with_a_token),
        TEST(test_a_token_that_is_refused_is_replaced_once),
        TEST(test_scopes_are_added_once),
        TEST(test_no_token_to_be_had),
        TEST(test_a_farewell_is_not_made_again),
        TEST(test_a_request_whose_connection_is_not_kept_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
