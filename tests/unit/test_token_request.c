/* SPDX-License-Identifier: MIT */
/* What is sent to a token endpoint, byte by byte, and what is believed of its answer. Signatures are checked with the
 * public key of the pair. */
#include "worker/oauth/token_request.h"

#include "common/clock.h"

#include <jwt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Made for this test, used nowhere else. */
static const char PRIVATE_KEY[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgNJCdHNEpqhP8lVtC\n"
                                  "AkOMdBxN7UsU0TjEKBSiJGriPNWhRANCAATtcGswV8UdF6ix9j8i3UWjEdQxV6Bp\n"
                                  "WIHts99shP/bvgdaeiANupYa4uI4q17EBGIyMDON2hHb4Fafu47lO58+\n"
                                  "-----END PRIVATE KEY-----\n";
static const char PUBLIC_KEY[] = "-----BEGIN PUBLIC KEY-----\n"
                                 "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7XBrMFfFHReosfY/It1FoxHUMVeg\n"
                                 "aViB7bPfbIT/274HWnogDbqWGuLiOKtexARiMjAzjdoR2+BWn7uO5TufPg==\n"
                                 "-----END PUBLIC KEY-----\n";

static int make(struct token_request *request, json_t *auth, bool secret_in_body, const char **problem)
{
    const struct token_request_values values = {
        .auth = auth,
        .audience = "https://as.example.com",
        .resource = "https://mcp.example.com/mcp",
        .scope = "a b",
        .refresh_token = "r/1",
        .secret_in_body = secret_in_body,
    };
    int result = token_request_init(request, &values, problem);
    json_decref(auth);
    return result;
}

#define FORM_END "&resource=https%3A%2F%2Fmcp.example.com%2Fmcp&scope=a%20b"

static void test_secrets(void **state)
{
    struct token_request request;
    const char *problem;
    (void)state;
    json_t *auth =
        json_pack("{s:s, s:s, s:s}", "type", "client_credentials", "clientId", "me:1", "clientSecret", "s &");
    assert_int_equal(make(&request, json_incref(auth), false, &problem), 0);
    assert_string_equal(request.body, "grant_type=client_credentials" FORM_END);
    assert_string_equal(request.authorization, "Authorization: Basic bWUlM0ExOnMlMjAlMjY="); /* me%3A1:s%20%26 */
    token_request_fini(&request);
    assert_int_equal(make(&request, auth, true, &problem), 0);
    assert_string_equal(request.body,
                        "grant_type=client_credentials" FORM_END "&client_id=me%3A1&client_secret=s%20%26");
    assert_null(request.authorization);
    token_request_fini(&request);
}

/* Each length that the last group of base64 can have. */
static void test_base64(void **state)
{
    static const char *const samples[][2] = {
        {"a", "YTpi"}, {"aa", "YWE6Yg=="}, {"aaa", "YWFhOmI="}, {"aaaa", "YWFhYTpi"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct token_request request;
        const char *problem;
        json_t *auth =
            json_pack("{s:s, s:s, s:s}", "type", "client_credentials", "clientId", samples[i][0], "clientSecret", "b");
        assert_int_equal(make(&request, auth, false, &problem), 0);
        assert_string_equal(request.authorization + strlen("Authorization: Basic "), samples[i][1]);
        token_request_fini(&request);
    }
}

static void test_refresh_tokens(void **state)
{
    struct token_request request;
    const char *problem;
    (void)state;
    json_t *auth = json_pack("{s:s, s:s, s:s}", "type", "refresh_token", "clientId", "me", "refreshToken", "old");
    assert_int_equal(make(&request, auth, false, &problem), 0);
    assert_string_equal(request.body, "grant_type=refresh_token&refresh_token=r%2F1" FORM_END "&client_id=me");
    assert_null(request.authorization);
    token_request_fini(&request);
}

/* The value of `client_assertion` is what is signed as it should be. */
static void check_assertion(const struct token_request *request)
{
    const char *assertion = strstr(request->body, "&client_assertion=");
    jwt_t *jwt = NULL;
    long now_s = (long)(clock_wall_ms() / 1000);
    assert_null(request->authorization);
    assert_non_null(strstr(
        request->body,
        "&client_id=me&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&"));
    assert_non_null(assertion);
    assertion += strlen("&client_assertion=");
    assert_int_equal(jwt_decode(&jwt, assertion, (const unsigned char *)PUBLIC_KEY, (int)strlen(PUBLIC_KEY)), 0);
    assert_int_equal(jwt_get_alg(jwt), JWT_ALG_ES256);
    assert_string_equal(jwt_get_header(jwt, "kid"), "k1");
    assert_string_equal(jwt_get_grant(jwt, "iss"), "me");
    assert_string_equal(jwt_get_grant(jwt, "sub"), "me");
    assert_string_equal(jwt_get_grant(jwt, "aud"), "https://as.example.com");
    assert_int_equal(strlen(jwt_get_grant(jwt, "jti")), 32);
    assert_in_range(jwt_get_grant_int(jwt, "iat"), now_s - 5, now_s);
    assert_int_equal(jwt_get_grant_int(jwt, "exp"), jwt_get_grant_int(jwt, "iat") + 300);
    jwt_free(jwt);
}

static json_t *key_auth(const char *key, const char *value, const char *algorithm)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "client_credentials", "clientId", "me", key, value,
                     "algorithm", algorithm, "keyId", "k1");
}

static void test_private_keys(void **state)
{
    struct token_request request, other;
    const char *problem;
    (void)state;
    assert_int_equal(make(&request, key_auth("privateKey", PRIVATE_KEY, "ES256"), false, &problem), 0);
    check_assertion(&request);
    assert_int_equal(make(&other, key_auth("privateKey", PRIVATE_KEY, "ES256"), false, &problem), 0);
    assert_string_not_equal(request.body, other.body); /* each is good once */
    token_request_fini(&request);
    token_request_fini(&other);
    assert_int_equal(make(&request, key_auth("privateKey", PRIVATE_KEY, "RS256"), false, &problem), 1);
    assert_non_null(strstr(problem, "none for the algorithm"));
    assert_int_equal(make(&request, key_auth("privateKey", "-----BEGIN NOTHING", "ES256"), false, &problem), 1);
}

static void test_private_key_files(void **state)
{
    struct token_request request;
    const char *problem;
    char path[] = "/tmp/test_token_request.XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_int_equal(write(fd, PRIVATE_KEY, strlen(PRIVATE_KEY)), strlen(PRIVATE_KEY));
    assert_int_equal(make(&request, key_auth("privateKeyFile", path, "ES256"), false, &problem), 0);
    check_assertion(&request);
    token_request_fini(&request);
    static const char locked[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n";
    assert_int_equal(pwrite(fd, locked, strlen(locked), 0), strlen(locked));
    assert_int_equal(make(&request, key_auth("privateKeyFile", path, "ES256"), false, &problem), 1);
    assert_non_null(strstr(problem, "passphrase"));
    close(fd);
    unlink(path);
    assert_int_equal(make(&request, key_auth("privateKeyFile", path, "ES256"), false, &problem), 1);
    assert_int_equal(make(&request, key_auth("privateKeyFile", "/tmp", "ES256"), false, &problem), 1);
}

static void test_answers(void **state)
{
    static const struct {
        const char *json, *problem, *token, *refresh_token;
        uint64_t lifetime_ms;
    } samples[] = {
        {"{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":60}", NULL, "t", NULL, 60001},
        {"{\"access_token\":\"t\",\"token_type\":\"bearer\",\"refresh_token\":\"n\"}", NULL, "t", "n", 0},
        {"{\"access_token\":\"t\",\"expires_in\":0}", NULL, "t", NULL, 1},
        {"{\"access_token\":\"t\",\"expires_in\":-5}", NULL, "t", NULL, 1},
        {"{\"access_token\":\"t\",\"expires_in\":1e300}", NULL, "t", NULL, 2592000000},
        {"{\"access_token\":\"t\",\"expires_in\":\"60\"}", NULL, "t", NULL, 0},
        {"{\"access_token\":\"t\",\"refresh_token\":\"a\\nb\"}", NULL, "t", NULL, 0},
        {"{}", "it gives no access token", NULL, NULL, 0},
        {"{\"access_token\":1}", "it gives no access token", NULL, NULL, 0},
        {"{\"access_token\":\"\"}", "its access token is none", NULL, NULL, 0},
        {"{\"access_token\":\"a\\r\\nX-Evil: 1\"}", "its access token is none", NULL, NULL, 0},
        {"{\"access_token\":\"t\",\"token_type\":\"DPoP\"}", "its token is no bearer token", NULL, NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct token_answer answer;
        json_t *document = json_loads(samples[i].json, 0, NULL);
        const char *problem = token_request_read(document, &answer);
        if (samples[i].problem != NULL) {
            assert_string_equal(problem, samples[i].problem);
        } else {
            assert_null(problem);
            assert_string_equal(answer.access_token, samples[i].token);
            assert_int_equal(answer.lifetime_ms, samples[i].lifetime_ms);
            assert_string_equal(answer.refresh_token != NULL ? answer.refresh_token : "-",
                                samples[i].refresh_token != NULL ? samples[i].refresh_token : "-");
        }
        json_decref(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secrets),           cmocka_unit_test(test_base64),
        cmocka_unit_test(test_refresh_tokens),    cmocka_unit_test(test_private_keys),
        cmocka_unit_test(test_private_key_files), cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
