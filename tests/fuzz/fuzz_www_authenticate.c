/* SPDX-License-Identifier: MIT */
/* Fuzz target of the reader of challenges. Whatever the text is, what is read are texts that end, without a byte that
 * could end a header or a quoted text. */
#include "worker/oauth/www_authenticate.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(const char *text, size_t max)
{
    if (strnlen(text, max + 1) > max)
        abort();
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct www_authenticate read;
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, bytes, size);
    text[size] = '\0';
    www_authenticate_parse(text, &read);
    check(read.resource_metadata, WWW_AUTHENTICATE_TEXT_MAX);
    check(read.scope, WWW_AUTHENTICATE_TEXT_MAX);
    check(read.error, WWW_AUTHENTICATE_ERROR_MAX);
    free(text);
    return 0;
}
