/* SPDX-License-Identifier: MIT */
/* The URL of a server: checked as far as everybody here relies on it, and cut down to what may be shown. Pure. */
#ifndef COMMON_SERVER_URL_H
#define COMMON_SERVER_URL_H

#include <stddef.h>

enum { SERVER_URL_SIZE_MAX = 2048 };

/* NULL when `text` is an absolute http or https URL with a host, of at most SERVER_URL_SIZE_MAX bytes and nothing that a
 * request line could not carry; else what is wrong with it, for a person. User-info is allowed: it is a secret. */
const char *server_url_error(const char *text);

/* scheme://host[:port] without user-info, path and query, cut at `size`; "" for what is no URL. Returns `out`. */
const char *server_url_origin(const char *text, char *out, size_t size);

#endif
