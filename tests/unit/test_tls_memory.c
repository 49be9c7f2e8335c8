/* SPDX-License-Identifier: MIT */
/* OpenSSL's memory: that a piece keeps its bytes as it grows and shrinks from cell to heap and back, and that a whole
 * handshake's worth of pieces comes and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/slab.h"
#include "worker/http/fold.h"
#include "worker/http/tls_memory.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <string.h>

static bool is_cell(const void *memory)
{
    return slab_size_of(memory) > 0;
}

static void the_small_and_the_large_lie_apart(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        bool is_cell, folds;
    } PIECES[] = {{1, true, false},    {1024, true, false}, {1025, false, false}, {4112, false, false},
                  {7632, false, true}, {8128, false, true}, {8129, false, false}};
    for (size_t i = 0; i < ARRAY_LENGTH(PIECES); i++) {
        void *piece = OPENSSL_malloc(PIECES[i].size);
        assert_non_null(piece);
        assert_int_equal(is_cell(piece), PIECES[i].is_cell);
        assert_int_equal(fold_has(piece), PIECES[i].folds);
        memset(piece, 0xff, PIECES[i].size);
        OPENSSL_free(piece);
    }
    assert_null(OPENSSL_malloc(0));
    OPENSSL_free(NULL);
}

static void what_is_brief_is_no_cell(void **state)
{
    (void)state;
    tls_memory_is_brief(true);
    void *brief = OPENSSL_malloc(100);
    tls_memory_is_brief(false);
    assert_false(is_cell(brief));
    brief = OPENSSL_realloc(brief, 200);
    assert_false(is_cell(brief));
    OPENSSL_free(brief);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    assert_false(
        is_cell(SSL_CTX_get_cert_store(context))); /* so the worker's own SSL_CTX_new was called, as is by libcurl */
    SSL_CTX_free(context);
    X509 *certificate = X509_new_ex(NULL, NULL);
    assert_non_null(certificate);
    assert_false(is_cell(certificate));
    X509_free(certificate);
}

static void bytes_stay_through_all_sizes(void **state)
{
    (void)state;
    static const size_t SIZES[] = {10, 16, 1000, 5000, 20000, 7000, 8192, 9000, 8000, 500, 3000, 12};
    unsigned char *piece = OPENSSL_realloc(NULL, SIZES[0]);
    size_t had = SIZES[0];
    memset(piece, 'x', had);
    for (size_t i = 1; i < ARRAY_LENGTH(SIZES); i++) {
        piece = OPENSSL_realloc(piece, SIZES[i]);
        assert_non_null(piece);
        for (size_t at = 0; at < had && at < SIZES[i]; at++)
            assert_int_equal(piece[at], 'x');
        memset(piece, 'x', SIZES[i]);
        had = SIZES[i];
    }
    OPENSSL_free(piece);
}

static void connections_come_and_go(void **state)
{
    (void)state;
    SSL *connections[200];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LENGTH(connections); i++) {
            connections[i] = SSL_new(context);
            assert_non_null(connections[i]);
            assert_true(fold_has(connections[i]));
        }
        for (size_t i = 0; i < ARRAY_LENGTH(connections); i++)
            SSL_free(connections[i * 7 % ARRAY_LENGTH(connections)]);
        tls_memory_trim();
    }
    SSL_CTX_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_small_and_the_large_lie_apart),
        cmocka_unit_test(what_is_brief_is_no_cell),
        cmocka_unit_test(bytes_stay_through_all_sizes),
        cmocka_unit_test(connections_come_and_go),
    };
    tls_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
